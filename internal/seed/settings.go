package seed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxSettings bounds a file of settings, in bytes: a hundred times a usual one.
const maxSettings = 1 << 20

// readSettings reads the settings of a site generator, in the notation of the extension.
func readSettings(path string) (object, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSettings {
		return nil, fmt.Errorf("should be a file of at most %d bytes", maxSettings)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	read := readYAML
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml":
		read = readTOML
	case ".json":
		read = readJSON
	}
	settings, line, err := read(text)
	switch {
	case err != nil && line > 0:
		return nil, fmt.Errorf("cannot be read: line %d: %w", line, err)
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	case settings == nil:
		settings = object{}
	}
	return settings, nil
}

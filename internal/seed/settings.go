package seed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxSettings bounds a file of settings, in bytes: a hundred times a usual one.
const maxSettings = 1 << 20

// settingsParsers are the parsers of settings by the extension of the file. Other files of
// settings are programs, which are not read.
var settingsParsers = map[string]objectParser{".toml": readTOML, ".yaml": readYAML, ".yml": readYAML, ".json": readJSON}

// readSettings merges the settings of a site generator in these files, the last of which take
// precedence. The settings in permalinks.toml are below permalinks, those in params.fr.toml
// below languages.fr.params.
func readSettings(files []string) (object, error) {
	all := object{}
	for _, path := range files {
		parse := settingsParsers[filepath.Ext(path)]
		if parse == nil {
			continue
		}
		some, err := readSettingsFile(path, parse)
		if err != nil {
			return nil, fmt.Errorf("%s %w", path, err)
		}
		name := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
		name, language, _ := strings.Cut(name, ".")
		if name != "hugo" && name != "config" && name != "_config" {
			some = object{name: {value: some}}
		}
		if language != "" {
			some = object{"languages": {value: object{language: {value: some}}}}
		}
		all.merge(some)
	}
	return all, nil
}

func readSettingsFile(path string, parse objectParser) (object, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSettings {
		return nil, fmt.Errorf("should be a file of at most %d bytes", maxSettings)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings, line, err := parse(text)
	switch {
	case err != nil && line > 0:
		return nil, fmt.Errorf("cannot be read: line %d: %w", line, err)
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return settings, nil
}

package bundle

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// dashboardFiles are the owner's pages as they stand in admin, and are served.
var dashboardFiles = []string{"index.html", "icon.svg"}

// addDashboard adds the owner's dashboard, which is served below /admin/: admin.js
// loads plot.js, made by [Plot], beside it.
func addDashboard(files map[string][]byte, dir string) error {
	for _, name := range dashboardFiles {
		content, err := os.ReadFile(filepath.Join(dir, "admin", name))
		if err != nil {
			return err
		}
		files["admin/"+name] = content
	}
	made, err := buildDashboard(dir, "admin/src/admin.js", "admin/admin.css")
	if err != nil {
		return err
	}
	for name, content := range made {
		files["admin/"+name] = content
	}
	return nil
}

// Plot returns the files of dist that are made of the library which the dashboard
// plots with. It stands in node_modules, which `npm ci` in dir fills: the other files
// need none of it.
func Plot(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	made, err := buildDashboard(dir, "admin/src/plot.js")
	if err != nil {
		return nil, fmt.Errorf("%w; npm --prefix web ci installs what the dashboard plots with", err)
	}
	for name, content := range made {
		files["admin/"+name] = content
	}
	return files, nil
}

// buildDashboard bundles modules and style sheets below dir, and returns them by the
// names of their files.
func buildDashboard(dir string, entries ...string) (map[string][]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     dir,
		EntryPoints:       entries,
		Outdir:            "admin",
		EntryNames:        "[name]",
		External:          []string{"./plot.js"},
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsEndOfFile,
		Charset:           api.CharsetUTF8,
		LogLevel:          api.LogLevelSilent,
	})
	for _, message := range result.Errors {
		return nil, fmt.Errorf("bundle the dashboard: %s", message.Text)
	}
	files := map[string][]byte{}
	for _, file := range result.OutputFiles {
		files[filepath.Base(file.Path)] = file.Contents
	}
	return files, nil
}

package bundle

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// addDemoAssets adds the files that the demo's pages load from below /demo/.
func addDemoAssets(files map[string][]byte, dir string) error {
	if err := copyFiles(files, dir, "demo/assets", "demo", "icon.svg"); err != nil {
		return err
	}
	return minifyFiles(files, dir, "demo", "demo/assets/demo.js", "demo/assets/gallery.js", "demo/assets/theme.js",
		"demo/assets/demo.css", "demo/assets/gallery.css")
}

// addDashboard adds the dashboard, which is served below /admin/. Its admin.js
// loads plot.js, the plotting library of node_modules.
func addDashboard(files map[string][]byte, dir string) error {
	if err := copyFiles(files, dir, "admin", "admin", "index.html", "icon.svg"); err != nil {
		return err
	}
	return minifyFiles(files, dir, "admin", "admin/src/admin.js", "admin/src/plot.js", "admin/admin.css")
}

// copyFiles adds the named files of a source folder to a folder of dist.
func copyFiles(files map[string][]byte, dir, from, to string, names ...string) error {
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, from, name))
		if err != nil {
			return err
		}
		files[to+"/"+name] = content
	}
	return nil
}

// minifyFiles bundles modules and style sheets below dir, and adds them to a folder
// of dist.
func minifyFiles(files map[string][]byte, dir, to string, entries ...string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	options := minified()
	options.AbsWorkingDir = dir
	options.EntryPoints = entries
	options.Outdir = to
	options.EntryNames = "[name]"
	options.External = []string{"./plot.js", "../tally.js"}
	options.LegalComments = api.LegalCommentsEndOfFile
	result := api.Build(options)
	for _, message := range result.Errors {
		return fmt.Errorf("bundle %s: %s; npm --prefix web ci installs the libraries", to, message.Text)
	}
	for _, file := range result.OutputFiles {
		files[to+"/"+filepath.Base(file.Path)] = file.Contents
	}
	return nil
}

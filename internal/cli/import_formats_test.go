package cli

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// zipped returns a zip archive of files by their names.
func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for name, text := range files {
		w, err := archive.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// goatExport is a JSON export of GoatCounter with two hosts.
func goatExport(t *testing.T) string {
	return zipped(t, map[string]string{
		"goatcounter-export/info.json":       `{"export_version":"1.0","goatcounter_version":"2.7"}`,
		"goatcounter-export/paths.jsonl":     `{"id":1,"path":"/a.example/x"}` + "\n" + `{"id":2,"path":"/www.a.example/x"}` + "\n" + `{"id":3,"path":"/b.example/x"}` + "\n",
		"goatcounter-export/hit_stats.jsonl": `{"path_id":1,"count":10}` + "\n" + `{"path_id":2,"count":5}` + "\n" + `{"path_id":3,"count":1}` + "\n" + `{"path_id":4,"count":1}` + "\n",
	})
}

func TestImport_GoatCounterArchive(t *testing.T) {
	t.Parallel()
	path, store := write(t, "export.zip", goatExport(t)), sqlite(t)
	args := []string{"import", "--store", store, "--site", "blog", "--take", "visitors=views", path}
	code, _, errors := call(t, variables(), args...)
	if code != exitFailure || !strings.Contains(errors, "several hosts: a.example (1), b.example (1), www.a.example (1)") {
		t.Errorf("without a host: exit %d, %s", code, errors)
	}
	code, out, errors := call(t, variables(), append(args, "--host", "a.example", "--host", "https://www.a.example/")...)
	if code != exitFailure || !strings.Contains(errors, path+"/hit_stats.jsonl:4: paths.jsonl has no path with the id 4") {
		t.Errorf("exit %d, %s%s", code, out, errors)
	}
	if !strings.Contains(out, "1 topic in 4 lines, together 15; 1 changed.") || !strings.Contains(out, "counts visits") || !strings.Contains(out, "Pages of other hosts were skipped: b.example (1)") {
		t.Errorf("it says %s", out)
	}
	checkCounts(t, store, "blog/views/x,15")
	if code, _, errors := call(t, variables(), append(args, "--host", "a b")...); code != exitUsage || !strings.Contains(errors, "the name of a host") {
		t.Errorf("exit %d, %s", code, errors)
	}
}

// Standard input can be imported in every format, though importers read a file twice.
func TestImport_StandardInput(t *testing.T) {
	t.Parallel()
	for format, text := range map[string]string{"goatcounter": goatExport(t), "umami": "session_id,url_path,hostname,event_type\ns,/x,a.example,1\n", "csv": "sep=;\ntopic;count\nblog/views/x;1\n"} {
		command := exec.Command(os.Args[0], "import", "--dry-run", "--store", sqlite(t), "--site", "blog", "--format", format, "--host", "a.example", "-")
		command.Env = append(os.Environ(), asProgram+"=1")
		command.Stdin = strings.NewReader(text)
		out, _ := command.CombinedOutput() // one format has a refused line
		if !strings.Contains(string(out), "/x") || !strings.Contains(string(out), "would change") {
			t.Errorf("%s: %s", format, out)
		}
	}
}

func TestImport_ColumnsAndNumbers(t *testing.T) {
	t.Parallel()
	store := sqlite(t)
	path := write(t, "views.csv", "path;title;views\n/posts/hello/;Hello;1.234.567\n/posts/x;X;2.000\n/y;Y;0042\n")
	code, out, errors := call(t, variables(), "import", "--store", store, "--columns", "topic=path,count=views", "--topic", "blog/views/{1}", path)
	if code != exitFailure || !strings.Contains(out, "1 changed") {
		t.Errorf("exit %d, %s", code, out)
	}
	for _, want := range []string{path + `:3: blog/views/posts/x: "2.000" can be read as 2000`, path + `:4: blog/views/y: "0042" can be read as 42`} {
		if !strings.Contains(errors, want) {
			t.Errorf("%q is not in %s", want, errors)
		}
	}
	checkCounts(t, store, "blog/views/posts/hello,1234567")
	if code, _, errors := call(t, variables(), "import", "--store", store, path); code != exitFailure || !strings.Contains(errors, "name its columns with --columns") {
		t.Errorf("without --columns: exit %d, %s", code, errors)
	}
	if code, _, errors := call(t, variables(), "import", "--columns", "views", path); code != exitUsage || !strings.Contains(errors, "topic=COLUMN") {
		t.Errorf("exit %d, %s", code, errors)
	}
}

// Exported counts can be imported as each kind of number. A dry run predicts what the
// import does; a second import changes nothing.
func TestImport_ExportedCounts(t *testing.T) {
	t.Parallel()
	topics := `[{"topic":"blog/likes/hello","count":40},{"topic":"default/claps/with \"quotes\", and commas","count":7},{"topic":"blog/likes/grüße/日本","count":0}]`
	from := sqlite(t)
	mustRun(t, "import", "--store", from, write(t, "counts.json", topics))
	for _, name := range []string{"counts.csv", "counts.json"} {
		exported := tempFile(t, name)
		mustRun(t, "export", "--store", from, exported)
		for _, as := range []string{"seed", "count", "adjustment", "base"} {
			to := sqlite(t)
			args := []string{"import", "--store", to, "--as", as, exported}
			for _, run := range []struct {
				args []string
				want string
			}{{append(args, "--dry-run"), "; 3 would change."}, {args, "; 3 changed."}, {args, "; 0 changed."}, {append(args, "--dry-run"), "; 0 would change."}} {
				if out := mustRun(t, run.args...); !strings.Contains(out, run.want) {
					t.Errorf("%v: %s", run.args, out)
				}
			}
			checkCounts(t, to, "blog/likes/hello,40", "blog/likes/grüße/日本,0", `"default/claps/with ""quotes"", and commas",7`)
		}
	}
}

// A flag that does not apply to the format is refused.
func TestImport_FlagsOfOtherFormats(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--format umami --topic a/b/{1} x":                                "--topic is for csv, json, --from, and the format is umami",
		"--format goatcounter --columns topic=a x":                        "--columns is for csv, json",
		"--website a --format goatcounter x":                              "--website is for umami",
		"--host a x.jsonl":                                                "--host is for",
		"--from redis://a --pattern a* --topic a/b/{1} --columns topic=a": "--columns is for csv, json, and --from reads keys of a Redis",
		"--pattern a* x.csv":                                              "--pattern is for --from",
	} {
		code, _, errors := call(t, variables(), append([]string{"import"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, %s", args, code, errors)
		}
	}
	if code, _, errors := call(t, variables(), "import", write(t, "x.zip", zipped(t, map[string]string{"a": "x"}))); code != exitFailure || !strings.Contains(errors, "no export of GoatCounter or Umami") {
		t.Errorf("exit %d, %s", code, errors)
	}
	for header, want := range map[string]string{"2Path,Title\n": "--format goatcounter", "session_id,url_path\n": "--format umami"} {
		if code, _, errors := call(t, variables(), "import", "--store", sqlite(t), write(t, "x.csv", header)); code != exitFailure || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, %s", header, code, errors)
		}
	}
}

// The second article has one key with the visitors of the whole site.
func TestImport_OneKeyOfRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	redis.Do("SET", "visitors:count", "4321")
	store := sqlite(t)
	args := []string{"import", "--store", store, "--from", redis.URL(0), "--pattern", "visitors:count", "--topic"}
	if out := mustRun(t, append(args, "blog/visitors/site")...); !strings.Contains(out, "1 topic in 1 key, together 4,321; 1 changed.") {
		t.Error(out)
	}
	checkCounts(t, store, "blog/visitors/site,4321")
	if code, _, errors := call(t, variables(), append(args, "blog/visitors/{1}")...); code != exitFailure || !strings.Contains(errors, "{1}") {
		t.Errorf("exit %d, %s", code, errors)
	}
}

// Files of a folder that are not pages are listed; the exit code stays 0.
func TestSeed_FilesNotRead(t *testing.T) {
	t.Parallel()
	dir := writeFolder(t, map[string]string{"a.md": "\n---\nbase: &b\n  likes: 3\n<<: *b\n---\n", "b.typ": "x", "c.png": "", "likes.csv": "slug,likes\n"})
	code, out, errors := call(t, variables(), "seed", "--store", sqlite(t), dir)
	if code != exitOK || !strings.Contains(out, "1 topic with a seed in 1 file; 1 changed.") || !strings.Contains(errors, "3 files were not read") || !strings.Contains(errors, filepath.Join(dir, "b.typ")) {
		t.Errorf("exit %d, %s%s", code, out, errors)
	}
	writePage(t, filepath.Join(dir, "a.md"), "---\nlikes: \"2.000\"\n---\n")
	code, _, errors = call(t, variables(), "seed", "--store", sqlite(t), dir)
	if code != exitFailure || !strings.Contains(errors, filepath.Join(dir, "a.md")+`:2: likes: "2.000" can be read as 2000 (groups of digits) or as 2 (decimal fraction)`) {
		t.Errorf("exit %d, %s", code, errors)
	}
}

func TestTopics_SetAmbiguousNumber(t *testing.T) {
	t.Parallel()
	r, ask := startOwned(t)
	for _, command := range []string{"set", "seed"} {
		topic := "blog/likes/" + command
		if code, _, errors := ask("topics", command, topic, "2.000"); code != exitUsage || !strings.Contains(errors, "2000 (groups of digits) or as 2") {
			t.Errorf("%s: exit %d, %s", command, code, errors)
		}
		if code, _, errors := ask("topics", command, topic, "1,234,567"); code != exitOK {
			t.Errorf("%s: exit %d, %s", command, code, errors)
		}
		if a := send(t, "GET", r.public+"/v1/"+topic, ""); a.Count != 1234567 {
			t.Errorf("%s: %+v", command, a)
		}
	}
}

package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tallycast/tallycast/internal/numeral"
)

// Files of GoatCounter's JSON export.
const (
	goatInfo  = "info.json"
	goatPaths = "paths.jsonl"
	goatHits  = "hit_stats.jsonl"
)

const (
	// maxInfo bounds info.json, in bytes; one has less than 1 KiB.
	maxInfo = 64 << 10
	// maxPathBytes bounds the memory that paths take together. GoatCounter's have up to
	// 2 KiB each.
	maxPathBytes = 1 << 30
	// goatVersion is the major version of the export that is known.
	goatVersion = "1"
)

// readGoatArchive reads the archive of JSON. GoatCounter counts visits: a visitor's
// first view of a page within eight hours. Views and the visitors of the whole site are
// not in it.
func readGoatArchive(file File, naming Mapping) (Result, error) {
	members, err := file.archive()
	if err != nil {
		return Result{}, err
	}
	if err := checkGoatInfo(members); err != nil {
		return Result{}, err
	}
	if naming.Metrics[FigureVisitors] == "" {
		return Result{}, errors.New("GoatCounter's JSON export has visits alone: --take visitors=METRIC says which metric they become")
	}
	a := newCollector("line")
	pages, err := readGoatPaths(a, members, naming.Hosts)
	if err != nil {
		return Result{}, err
	}
	scanned := a.result.Entries
	chosen, err := pages.hosts.filter(naming.Hosts)
	if err != nil {
		return Result{}, err
	}
	err = members.eachLine(a, goatHits, func(text []byte) error {
		var hit struct {
			PathID json.Number `json:"path_id"`
			Count  json.Number `json:"count"`
		}
		if err := json.Unmarshal(text, &hit); err != nil || hit.PathID == "" || hit.Count == "" {
			return errors.New("it is no object with path_id and count")
		}
		page, known := pages.paths[hit.PathID.String()]
		if !known {
			return fmt.Errorf("%s has no path with the id %s", goatPaths, hit.PathID)
		}
		n, err := numeral.ParseJSON(hit.Count.String())
		if err != nil {
			return err
		}
		if page.isEvent {
			a.skip("events")
			return nil
		}
		host, path := pages.hosts.split(page.path)
		if err := chosen.check(host); err != nil {
			return err
		}
		key, err := naming.page(path)
		if err != nil {
			return err
		}
		return a.addFigure(naming, FigureVisitors, key, n)
	})
	if err != nil {
		return Result{}, err
	}
	if a.result.Entries == scanned {
		return Result{}, errors.New("the export has no visits: " + goatHits + " is empty")
	}
	a.note("GoatCounter's JSON export counts visits, which became visitors; --take visitors=views makes them views.")
	pages.hosts.note(a)
	a.noteHosts(chosen)
	return a.sorted(), nil
}

// checkGoatInfo returns an error if the archive is no export of a version that is known.
func checkGoatInfo(members archive) error {
	for _, name := range []string{goatInfo, goatPaths, goatHits} {
		if !members.has(name) {
			return fmt.Errorf("the archive lacks %s; GoatCounter's JSON export has %s, %s and %s", name, goatInfo, goatPaths, goatHits)
		}
	}
	text, closer, err := members.open(goatInfo)
	if err != nil {
		return err
	}
	var info struct {
		Version any `json:"export_version"`
	}
	err = json.NewDecoder(io.LimitReader(text, maxInfo)).Decode(&info)
	if err = errors.Join(err, closer.Close()); err != nil {
		return fmt.Errorf("%s: %w", goatInfo, err)
	}
	if major, _, _ := strings.Cut(fmt.Sprint(info.Version), "."); major != goatVersion {
		return fmt.Errorf("%s says that the export has version %v, and version %s is known", goatInfo, info.Version, goatVersion)
	}
	return nil
}

// goatPages are the paths of an export by their ids.
type goatPages struct {
	paths map[string]goatPage
	hosts goatHosts
}

type goatPage struct {
	path    string
	isEvent bool
}

func readGoatPaths(a *collector, members archive, wanted []string) (*goatPages, error) {
	pages := &goatPages{paths: map[string]goatPage{}}
	size := 0
	err := members.eachLine(a, goatPaths, func(text []byte) error {
		var line struct {
			ID    json.Number `json:"id"`
			Path  *string     `json:"path"`
			Event any         `json:"event"`
		}
		if err := json.Unmarshal(text, &line); err != nil || line.ID == "" || line.Path == nil {
			return errors.New("it is no object with id and path")
		}
		if _, twice := pages.paths[line.ID.String()]; twice {
			return fmt.Errorf("the id %s occurs twice", line.ID)
		}
		if size += len(*line.Path); size > maxPathBytes {
			return nil // told below
		}
		page := goatPage{*line.Path, isTrue(fmt.Sprint(line.Event))}
		pages.paths[line.ID.String()] = page
		if !page.isEvent {
			pages.hosts.add(page.path, wanted)
		}
		return errSkip // it is no count
	})
	if err == nil && size > maxPathBytes {
		err = fmt.Errorf("the paths of %s have more than %d bytes", goatPaths, maxPathBytes)
	}
	return pages, err
}

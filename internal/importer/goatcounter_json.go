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
	// maxInfo bounds info.json, in bytes, which has less than 1 KiB.
	maxInfo = 64 << 10
	// maxPathBytes bounds the memory of all paths, of which each has up to 2 KiB.
	maxPathBytes = 1 << 30
	// goatVersion is the supported major version of the export.
	goatVersion = "1"
)

// readGoatArchive reads the archive of JSON. It has visits: the first view of a page by a visitor within
// eight hours. It has neither views nor visitors of the site.
func readGoatArchive(file File, mapping Mapping) (Result, error) {
	members, err := file.archive()
	if err != nil {
		return Result{}, err
	}
	if err := checkGoatInfo(members); err != nil {
		return Result{}, err
	}
	if mapping.metric(figureVisitors) == "" {
		return Result{}, errors.New("GoatCounter's JSON export has visits only; name the metric that they become with --take visitors=METRIC")
	}
	hosts := newGoatHosts(mapping.Hosts)
	return collect("line", nil, hosts.filter, func(c *collector) error {
		pages, err := readGoatPaths(c, members, hosts)
		if err != nil || c.filter == nil {
			return err
		}
		paths := c.result.Entries // that were refused
		err = members.eachLine(c, goatHits, func(text []byte) error {
			var hit struct {
				PathID json.Number `json:"path_id"`
				Count  json.Number `json:"count"`
			}
			if err := json.Unmarshal(text, &hit); err != nil || hit.PathID == "" || hit.Count == "" {
				return errors.New("it is not an object with path_id and count")
			}
			page, known := pages[hit.PathID.String()]
			if !known {
				return fmt.Errorf("%s has no path with the id %s", goatPaths, hit.PathID)
			}
			n, err := numeral.ParseJSON(hit.Count.String())
			if err != nil {
				return err
			}
			if page.isEvent {
				c.skip("events")
				return nil
			}
			key, err := hosts.key(c, mapping, page.path)
			if err != nil {
				return err
			}
			return c.addFigure(mapping, figureVisitors, key, n)
		})
		if err == nil && c.result.Entries == paths {
			err = errors.New("the export has no visits: " + goatHits + " is empty")
		}
		c.note("GoatCounter's JSON export counts visits, which were imported as visitors; --take visitors=views imports them as views.")
		hosts.note(c)
		return err
	})
}

// checkGoatInfo returns an error if the archive is not an export of the supported version.
func checkGoatInfo(members archive) error {
	for _, name := range []string{goatInfo, goatPaths, goatHits} {
		if members[name] == nil {
			return fmt.Errorf("the archive lacks %s; GoatCounter's JSON export has %s, %s and %s", name, goatInfo, goatPaths, goatHits)
		}
	}
	text, err := members.open(goatInfo)
	if err != nil {
		return err
	}
	var info struct {
		Version any `json:"export_version"`
	}
	if err := json.NewDecoder(io.LimitReader(text, maxInfo)).Decode(&info); err != nil {
		return fmt.Errorf("%s: %w", goatInfo, err)
	}
	if major, _, _ := strings.Cut(fmt.Sprint(info.Version), "."); major != goatVersion {
		return fmt.Errorf("%s states version %v of the export; only version %s can be imported", goatInfo, info.Version, goatVersion)
	}
	return nil
}

// goatPage is a path of an export.
type goatPage struct {
	path    string
	isEvent bool
}

// readGoatPaths returns the paths by id. In the first reading it adds the paths to hosts.
func readGoatPaths(c *collector, members archive, hosts *goatHosts) (map[string]goatPage, error) {
	pages := map[string]goatPage{}
	size := 0
	err := members.eachLine(c, goatPaths, func(text []byte) error {
		var line struct {
			ID    json.Number `json:"id"`
			Path  *string     `json:"path"`
			Event any         `json:"event"`
		}
		if err := json.Unmarshal(text, &line); err != nil || line.ID == "" || line.Path == nil {
			return errors.New("it is not an object with id and path")
		}
		id := line.ID.String()
		if _, twice := pages[id]; twice {
			return fmt.Errorf("the id %s occurs twice", id)
		}
		if size += len(*line.Path); size > maxPathBytes {
			return nil // the error is returned below
		}
		pages[id] = goatPage{*line.Path, isTrue(fmt.Sprint(line.Event))}
		if c.filter == nil && !pages[id].isEvent {
			hosts.add(*line.Path)
		}
		return errNoEntry
	})
	if err == nil && size > maxPathBytes {
		err = fmt.Errorf("the paths of %s have more than %d bytes", goatPaths, maxPathBytes)
	}
	return pages, err
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tallycast/tallycast/bench/load"
)

// importedTopics is how many topics one call imports: less than the 4 MiB of a body.
const importedTopics = 10_000

// callTimeout is far longer than any call should take.
const callTimeout = 10 * time.Minute

// call makes one of the owner's calls and returns the length of its answer. Body is sent as
// JSON unless it is nil or text.
func (r *scaleRun) call(method, path string, body any) (length int64, err error) {
	ctx, cancel := r.session.timeout(callTimeout)
	defer cancel()
	var sent []byte
	kind := "application/json"
	switch body := body.(type) {
	case nil:
	case []byte:
		sent, kind = body, "application/jsonl"
	default:
		if sent, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.server.Address+"/admin/v1/"+path, bytes.NewReader(sent))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", kind)
	answer, err := r.client.Do(request)
	if err != nil {
		return 0, err
	}
	var kept bytes.Buffer
	length, err = io.Copy(&limitedBuffer{&kept}, answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return length, err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return length, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, kept.String())
	}
	return length, nil
}

// limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct{ kept *bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	const limit = 4096
	b.kept.Write(p[:min(len(p), max(limit-b.kept.Len(), 0))])
	return len(p), nil
}

// fill imports the topics.
func (r *scaleRun) fill() error {
	header, err := r.exportHeader()
	if err != nil {
		return err
	}
	version := time.Now().Add(-24 * time.Hour).UnixMicro()
	for first := 0; first < r.topics(); first += importedTopics {
		piece := bytes.NewBuffer(slices.Clone(header))
		for n := first; n < min(first+importedTopics, r.topics()); n++ {
			fmt.Fprintf(piece, `{"topic":%q,"rule":"toggle","count":%d,"version":%d,"first":true,"members":"`, load.Topic(n), contributionsPerTopic, version+int64(n))
			for i := range contributionsPerTopic {
				fmt.Fprintf(piece, "%016x", uint64(n*contributionsPerTopic+i+1)*0x9e3779b97f4a7c15)
			}
			fmt.Fprintf(piece, `","counted":%d}`+"\n", contributionsPerTopic)
		}
		if _, err := r.call(http.MethodPost, "import", piece.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// exportHeader returns the first line of an export, which names the visitor hash of the store.
func (r *scaleRun) exportHeader() ([]byte, error) {
	request, err := http.NewRequestWithContext(r.session.ctx, http.MethodGet, "http://"+r.server.Address+"/admin/v1/export", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	header, _, ok := bytes.Cut(text, []byte("\n"))
	if !ok || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("export: %s: %.100s", answer.Status, text)
	}
	return append(header, '\n'), nil
}

// likesMeter sends likes at a steady rate and measures them.
type likesMeter struct {
	stop chan struct{}
	done sync.WaitGroup

	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
	err       error
}

// meterLoops is how many loops send likes, each at most one every meterGap.
const (
	meterLoops = 4
	meterGap   = 10 * time.Millisecond
)

func (r *scaleRun) startMeter() *likesMeter {
	m := &likesMeter{stop: make(chan struct{}), histogram: load.NewHistogram()}
	for loop := range meterLoops {
		m.done.Go(func() { // ends with stop, which p99 waits for
			tick := time.NewTicker(meterGap)
			defer tick.Stop()
			for n := int64(loop); ; n += meterLoops {
				select {
				case <-m.stop:
					return
				case <-tick.C:
				}
				ack, err := r.likers.OneOf(loop, load.Spread(n, r.topics()))
				m.mu.Lock()
				if m.err = errors.Join(m.err, err); m.err == nil {
					m.err = m.histogram.RecordValue((ack.At - ack.Sent) / int64(time.Microsecond))
				}
				failed := m.err != nil
				m.mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	return m
}

// p99 ends the meter and returns the 99th percentile in ms.
func (m *likesMeter) p99() (float64, error) {
	close(m.stop)
	m.done.Wait()
	return float64(m.histogram.ValueAtQuantile(99)) / 1000, m.err
}

func (r *scaleRun) measureQuiet() (float64, error) {
	m := r.startMeter()
	err := r.session.wait(r.Quiet)
	p99, failed := m.p99()
	return p99, errors.Join(err, failed)
}

// measure makes a call, repeatedly if it changes nothing, and adds it to the table.
func (r *scaleRun) measure(name string, repeat bool, target float64, do func() (int64, error)) error {
	r.progress(name)
	before, err := r.server.Processes.Usage()
	if err != nil {
		return err
	}
	cpu, err := r.server.CPU()
	if err != nil {
		return err
	}
	m := r.startMeter()
	var times []float64
	var length int64
	for began := time.Now(); len(times) == 0 || repeat && time.Since(began) < r.CallTime && r.session.ctx.Err() == nil; {
		at := time.Now()
		if length, err = do(); err != nil {
			break
		}
		times = append(times, micros(time.Since(at))/1000)
		if repeat && r.CallRate > 0 {
			if err = r.session.wait(time.Until(at.Add(time.Duration(float64(time.Second) / r.CallRate)))); err != nil {
				break
			}
		}
	}
	p99, failed := m.p99()
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	used, err := r.server.CPU()
	if err != nil {
		return err
	}
	after, err := r.server.Processes.Usage()
	if err != nil {
		return err
	}
	slices.Sort(times)
	n := float64(len(times))
	median := times[len(times)/2]
	server, redis := micros(used.Server-cpu.Server)/1000/n, micros(used.Redis-cpu.Redis)/1000/n
	r.table.Row(r.name, name, len(times), median, times[len(times)-1], float64(length)/1024, server, redis, float64(after.RSS-before.RSS)/1e6, p99, p99/r.quiet)
	if target > 0 {
		r.target(name, median, target, "ms")
	}
	r.target("likes' p99 during "+name, p99/r.quiet, likesTarget, "×")
	return r.session.report.Record(map[string]any{
		"Peer": r.name, "Call": name, "Times": times, "Bytes": length, "ServerCPUMs": server, "RedisCPUMs": redis, "LikesP99Ms": p99, "QuietP99Ms": r.quiet,
	})
}

// calls measures the owner's calls. The likes since from are reverted.
func (r *scaleRun) calls(from time.Time) error {
	get := func(path string) func() (int64, error) {
		return func() (int64, error) { return r.call(http.MethodGet, path, nil) }
	}
	post := func(path string, body map[string]any) func() (int64, error) {
		return func() (int64, error) { return r.call(http.MethodPost, path, body) }
	}
	names := make([]string, r.topics())
	for i := range names {
		names[i] = load.Topic(i)
	}
	slices.Sort(names)
	undo := map[string]any{"site": "default", "from": from.Format(time.RFC3339), "preview": true}
	for _, c := range []struct {
		name   string
		target float64
		do     func() (int64, error)
	}{
		{"list by name, first page", pageTarget, get("topics?limit=50")},
		{"list by name, last page", pageTarget, get("topics?limit=50&after=" + names[max(len(names)-51, 0)])},
		{"list by name, a prefix", pageTarget, get("topics?limit=50&site=default&metric=likes&prefix=b99")},
		{"list by newest", rankedTarget, get("topics?limit=50&order=newest")},
		{"list by count", rankedTarget, get("topics?limit=50&order=count")},
		{"overview", 0, get("overview")},
		{"spikes of a day, all sites", spikesTarget, get("spikes?since=24h")},
		{"revert, preview of a site", previewTarget, post("undo", undo)},
		{"prune, preview, nothing found", previewTarget, post("prune", map[string]any{"site": "default", "untouched_since": "2020-01-01T00:00:00Z", "preview": true})},
	} {
		if err := r.measure(c.name, true, c.target, c.do); err != nil {
			return err
		}
	}
	if err := r.renames(names); err != nil {
		return err
	}
	if err := r.measure("forget a visitor", false, 0, post("forget", map[string]any{"visitor": "bench-visitor-0000000001", "site": "default"})); err != nil {
		return err
	}
	undo["preview"] = false
	return r.measure(fmt.Sprintf("revert of %d contributions", r.journal()), false, revertTarget, post("undo", undo))
}

// renames measures the first and the last quarter of many renames.
func (r *scaleRun) renames(names []string) error {
	quarter := r.Renames / 4
	rename := func(from, to int) func() (int64, error) {
		return func() (length int64, err error) {
			for i := from; i < to && err == nil; i++ {
				old := names[len(names)/2+i]
				length, err = r.call(http.MethodPost, "rename", map[string]any{"from": old, "to": strings.Replace(old, "/b", "/renamed-", 1)})
			}
			return length, err
		}
	}
	if quarter == 0 {
		return nil
	}
	if err := r.measure(fmt.Sprintf("the first %d of %d renames", quarter, r.Renames), false, 0, rename(0, quarter)); err != nil {
		return err
	}
	if _, err := rename(quarter, r.Renames-quarter)(); err != nil {
		return err
	}
	return r.measure(fmt.Sprintf("the last %d of %d renames", quarter, r.Renames), false, 0, rename(r.Renames-quarter, r.Renames))
}

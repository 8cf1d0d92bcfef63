// Command bench measures tallycast beside other software.
//
//	go run -C bench . fanout
//	go run -C bench . all
//
// Every figure is measured in one run with its comparison, one server after the other:
// CPU time of the server's processes, resident memory, or latency. A case exits with 1 if
// a viewer did not receive what it was promised.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
)

// cases is the command line, in the order of the results.
type cases struct {
	Fanout    fanoutCase    `cmd:"" help:"CPU time of a delivery, beside write(2) and the peers."`
	Memory    memoryCase    `cmd:"" help:"Memory and CPU time of an idle viewer, and memory of a like in Redis."`
	Connect   connectCase   `cmd:"" help:"CPU time of a connection, and the time until all viewers reconnect."`
	Likes     likesCase     `cmd:"" help:"CPU time of a like in server and Redis; durable likes a second on SQLite."`
	History   historyCase   `cmd:"" help:"CPU time of a like with and without history; lists of the topics that gained most."`
	Storm     stormCase     `cmd:"" help:"As many likes as possible while viewers watch."`
	Press     pressCase     `cmd:"" help:"All viewers of a topic like it within a second, over their sockets."`
	Latency   latencyCase   `cmd:"" help:"Time from a like to the frame, across two instances of an idle system."`
	Growth    growthCase    `cmd:"" help:"How costs grow with viewers, topics, and topics a viewer."`
	Instances instancesCase `cmd:"" help:"Many instances on one Redis: all viewers must show the same number."`
	Regions   regionsCase   `cmd:"" help:"Instances beside a replica of a far primary."`
	Scale     scaleCase     `cmd:"" help:"The owner's calls on large stores, and likes meanwhile."`
	Start     startCase     `cmd:"" help:"Time from start to ready, and the size of the binary."`
	All       allCase       `cmd:"" help:"All cases one after the other, and the page of results."`

	Results  string   `help:"Folder for results." default:"${results}"`
	Binary   string   `help:"Measure this tallycast instead of building one, for example one of an earlier commit." type:"existingfile"`
	Baseline string   `help:"Measure this tallycast too, in the same rounds (fanout, memory, likes)." type:"existingfile"`
	Argument []string `help:"Add an argument for tallycast, for example --argument=--flush-interval=20ms." sep:"none"`
}

// defaultResults is the folder for results, relative to the bench.
const defaultResults = "results"

// order lists the sections of the page of results.
var order = []string{"fanout", "memory", "connect", "likes", "history", "storm", "press", "latency", "regions", "growth", "scale", "instances", "start"}

func main() {
	if len(os.Args) == 2 && os.Args[1] == load.WorkerArgument {
		if err := load.Work(os.Stdin, os.Stdout); err != nil {
			fail(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// run parses a command line and runs its case.
func run(ctx context.Context, arguments []string) error {
	var c cases
	parser, err := kong.New(&c, kong.Name("go run -C bench ."), kong.UsageOnError(), kong.Vars{"results": defaultResults},
		kong.Description("Measures tallycast beside other software."))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(arguments)
	parser.FatalIfErrorf(err)
	s := &session{ctx: ctx, results: c.Results, binary: c.Binary, baseline: c.Baseline, arguments: c.Argument, command: "go run -C bench . " + strings.Join(arguments, " "), out: os.Stdout, progress: os.Stderr}
	return parsed.Run(s)
}

// selectPeers returns the peers with the given names, or all peers if there are none.
func selectPeers(peers []*peer.Peer, names []string) (picked []*peer.Peer, err error) {
	if len(names) == 0 {
		return peers, nil
	}
	known := make([]string, len(peers))
	for i, p := range peers {
		known[i] = p.Name
	}
	for _, name := range names {
		before := len(picked)
		for _, p := range peers {
			if p.Name == name || strings.HasPrefix(p.Name, name+",") || strings.HasPrefix(p.Name, name+" ") {
				picked = append(picked, p)
			}
		}
		if len(picked) == before {
			return nil, fmt.Errorf("--peers %s: should be one of %s", name, strings.Join(known, "; "))
		}
	}
	return picked, nil
}

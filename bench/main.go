// Command bench measures tallycast beside what a user would pick instead.
//
//	go run -C bench . fanout
//	go run -C bench . all
//
// Every figure is taken in one run with its comparison, server by server in turn,
// as CPU time of the server's processes, resident memory, or latency. A case exits
// with 1 when any viewer fell short of what it was promised.
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

// cases are the command line. Their order is that of the results.
type cases struct {
	Fanout    fanoutCase    `cmd:"" help:"What a delivery costs: CPU beside write(2) and the peers."`
	Memory    memoryCase    `cmd:"" help:"What an idle viewer costs: resident memory and CPU; and a stored like in Redis."`
	Connect   connectCase   `cmd:"" help:"What a connection costs to make, and how soon all are back after all left."`
	Likes     likesCase     `cmd:"" help:"What a like costs: CPU of server and Redis; durable likes a second on SQLite."`
	Storm     stormCase     `cmd:"" help:"Likes as fast as they can be sent while viewers watch."`
	Latency   latencyCase   `cmd:"" help:"From like to screen across two instances of a quiet system."`
	Growth    growthCase    `cmd:"" help:"How the costs grow with viewers, topics, and topics a viewer."`
	Instances instancesCase `cmd:"" help:"Many instances on one Redis: do all viewers show the same number?"`
	Start     startCase     `cmd:"" help:"How soon tallycast is ready, and how large it is."`
	All       allCase       `cmd:"" help:"All cases one after the other, and the page of results."`

	Results  string   `help:"Folder for results." default:"${results}"`
	Binary   string   `help:"Measure this tallycast instead of building one, such as that of an earlier commit." type:"existingfile"`
	Argument []string `help:"Give tallycast this argument too, such as --argument=--flush-interval=20ms." sep:"none"`
}

// defaultResults is the folder for results, below the bench's own.
const defaultResults = "results"

// order is that of the sections of the results' page.
var order = []string{"fanout", "memory", "connect", "likes", "storm", "latency", "growth", "instances", "start"}

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
		kong.Description("Measures tallycast beside what a user would pick instead."))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(arguments)
	parser.FatalIfErrorf(err)
	s := &session{ctx: ctx, results: c.Results, binary: c.Binary, arguments: c.Argument, command: "go run -C bench . " + strings.Join(arguments, " "), out: os.Stdout, progress: os.Stderr}
	return parsed.Run(s)
}

// pick returns those of the peers that names name, all when it names none.
func pick(peers []*peer.Peer, names []string) (picked []*peer.Peer, err error) {
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
			return nil, fmt.Errorf("--peers %s: it is one of %s", name, strings.Join(known, "; "))
		}
	}
	return picked, nil
}

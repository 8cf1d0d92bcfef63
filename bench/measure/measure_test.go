package measure

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat_ProcessNames(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 150 50 7 3 20 0 8 0 100 1000 200"
	for _, name := range []string{"(redis-server)", "(a b)", "(a) S 9 9 (b)", "()"} {
		got, err := parseStat([]byte("42 " + name + rest))
		if err != nil || got != 2100*time.Millisecond {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x 50 7 3 20"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q became %v", bad, got)
		}
	}
}

func TestParseRollup(t *testing.T) {
	rss, pss, err := parseRollup([]byte("400000-7fff [rollup]\nRss:    1024 kB\nPss:     512 kB\nPss_Dirty:  1 kB\n"))
	if err != nil || rss != 1<<20 || pss != 1<<19 {
		t.Errorf("%d, %d, %v", rss, pss, err)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Rss: 1 MB\nPss: 1 kB\n", "Rss: x kB\nPss: 1 kB\n"} {
		if _, _, err := parseRollup([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// A shell and its child both use CPU time.
func TestUsage_WithChildren(t *testing.T) {
	const work = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`
	shell := exec.Command("sh", "-c", "exec 4<&0; ("+work+"; echo child; read _ <&4) & "+work+"; echo parent; wait")
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() {
			t.Fatal("the shell ended early")
		}
	}
	p := Processes{shell.Process.Pid}
	pids, err := p.withChildren()
	if err != nil || len(pids) != 2 {
		t.Fatalf("processes %v, %v", pids, err)
	}
	all, err := p.Usage()
	if err != nil {
		t.Fatal(err)
	}
	alone, err := usage(shell.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if all.CPU <= alone.CPU || alone.CPU <= 0 || all.RSS <= alone.RSS || all.PSS > all.RSS {
		t.Errorf("with child %+v, alone %+v", all, alone)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := shell.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Usage(); err == nil {
		t.Error("an ended process has a usage")
	}
}

func TestUsage_OwnProcess(t *testing.T) {
	u, err := Processes{os.Getpid()}.Usage()
	if err != nil || u.RSS < 1<<20 || u.RSS > 1<<32 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestSummary(t *testing.T) {
	if got := Summarise([]float64{5, 1, 3, 2, 4}); got != (Summary{1, 3, 5, 5}) {
		t.Errorf("odd: %+v", got)
	}
	if got := Summarise([]float64{4, 1, 2, 3}); got != (Summary{1, 2.5, 4, 4}) {
		t.Errorf("even: %+v", got)
	}
}

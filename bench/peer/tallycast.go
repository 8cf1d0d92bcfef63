package peer

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tallycast/tallycast/bench/load"
)

// unlimited returns the arguments that turn tallycast's limits off.
func unlimited() []string {
	return []string{
		"--rate-limit", "off", "--read-limit", "off", "--new-topic-limit", "off", "--topic-limit", "off",
		"--max-viewers", "off", "--max-viewers-per-address", "off",
	}
}

// Tallycast returns tallycast with its limits off.
func Tallycast() *Peer { return tallycast("tallycast", "limits off", unlimited()) }

// TallycastLimited returns tallycast with its default limits.
func TallycastLimited() *Peer {
	return tallycast("tallycast, limits on", "default limits", nil)
}

// TallycastManyClients returns tallycast with its limits off, for as many client addresses as
// [TallycastLimited]: the difference is the cost of the limits.
func TallycastManyClients() *Peer {
	return tallycast("tallycast, many clients", "limits off, likes from as many addresses as with limits on", unlimited())
}

// TallycastChoices returns tallycast with its limits off, and choices of one of five options
// in the place of likes.
func TallycastChoices() *Peer {
	p := tallycast("tallycast, choices", "limits off, each visitor chooses one of five options", append(unlimited(), "--metric", "likes=choice:5"))
	p.like = postChoice
	return p
}

// TallycastSockets returns tallycast with its limits off, for likes over open WebSockets
// that watch what they like.
func TallycastSockets() *Peer {
	p := tallycast("tallycast, sockets", "limits off, likes over WebSockets that watch the topics", unlimited())
	p.like = Assertion
	p.sockets = true
	return p
}

// TallycastWithoutHistory returns tallycast with its limits off, which records no history.
func TallycastWithoutHistory() *Peer {
	return tallycast("tallycast, history off", "limits off, --history off", append(unlimited(), "--history", "off"))
}

// TallycastSQLite returns tallycast with the embedded store.
func TallycastSQLite() *Peer {
	p := tallycast("tallycast on SQLite", "limits off, embedded store, durable before acknowledged", unlimited())
	start := p.start
	p.start = func(ctx context.Context, s *Server, o Options) error {
		o.SQLite = true
		return start(ctx, s, o)
	}
	return p
}

// Baseline returns the tallycast at path, with its limits off: an earlier build, measured in
// the same rounds.
func Baseline(path string) *Peer {
	p := tallycast("baseline", "limits off, "+path, unlimited())
	start := p.start
	p.start = func(ctx context.Context, s *Server, o Options) error {
		o.Binary = path
		return start(ctx, s, o)
	}
	return p
}

func tallycast(name, settings string, arguments []string) *Peer {
	return &Peer{
		Name:       name,
		Settings:   "serve --demo=false; " + settings + "; otherwise defaults",
		Transports: bothTransports, Likes: true, isTallycast: true,
		start: func(ctx context.Context, s *Server, o Options) error {
			return startTallycast(ctx, s, o, arguments)
		},
		endpoint: func(t load.Transport) load.Endpoint {
			path := "/v1/stream?{topics}"
			if t == load.WebSocket {
				path = "/v1/ws?{topics}"
			}
			return load.Endpoint{Path: path, TopicParam: "topic={topic}", Ready: live}
		},
		like: postLike,
	}
}

// BaselineSockets is [Baseline] for likes over WebSockets, as [TallycastSockets].
func BaselineSockets(path string) *Peer {
	p := Baseline(path)
	p.Name, p.like, p.sockets = "baseline, sockets", Assertion, true
	return p
}

func startTallycast(ctx context.Context, s *Server, o Options, arguments []string) error {
	name := o.Binary
	if name == "" {
		var err error
		if name, err = Binary(); err != nil {
			return err
		}
	}
	store := "sqlite:" + filepath.Join(s.dir, "tally.db")
	if !o.SQLite {
		if err := s.needRedis(ctx); err != nil {
			return err
		}
		store = "redis://" + s.Redis.Address
	}
	internal, err := freeAddress()
	if err != nil {
		return err
	}
	// tallycast would read these variables as configuration.
	for _, variable := range []string{"PORT", "REDIS_URL"} {
		if err := os.Unsetenv(variable); err != nil {
			return err
		}
	}
	began := time.Now()
	p, err := startProcess(filepath.Join(s.dir, "log"), name, append(append([]string{
		"serve", "--listen", s.Address, "--internal-listen", internal, "--store", store, "--demo=false",
		"--drain", "0s", // nobody reconnects here
	}, arguments...), o.Arguments...)...)
	if err != nil {
		return err
	}
	s.closes = append(s.closes, p.stop)
	s.Processes = append(s.Processes, p.pid())
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err = p.until(ctx, "it is not ready", func() bool {
		answer, err := client.Get(fmt.Sprintf("http://%s/readyz", s.Address))
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	})
	s.ReadyAfter = time.Since(began)
	return err
}

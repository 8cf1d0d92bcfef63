// Package wire is shared by the programs of the bench's peers: the text of a frame, of the
// same length as tallycast's, and the HTTP server.
package wire

import (
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// baseVersion makes versions as long as tallycast's, which are microseconds since the Unix
// epoch. A peer's version is baseVersion + count.
const baseVersion = 1_790_000_000_000_000

// AppendFrame appends the frame of a topic's count.
func AppendFrame(dst []byte, topic string, count int64) []byte {
	dst = append(dst, `{"topic":"`...)
	dst = append(dst, topic...)
	dst = append(dst, `","count":`...)
	dst = strconv.AppendInt(dst, count, 10)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, baseVersion+count, 10)
	return append(dst, '}')
}

// Live is tallycast's event after the snapshot. Peers send it too, so that a viewer knows
// when it is connected.
const Live = `{"event":"live"}`

// Flags are the flags of each program.
type Flags struct {
	Listen string // host:port
	Redis  string // host:port
	File   string // of a database
}

// ParseFlags reads the command line.
func ParseFlags() (f Flags) {
	flag.StringVar(&f.Listen, "listen", "127.0.0.1:0", "where to listen")
	flag.StringVar(&f.Redis, "redis", "", "Redis's address")
	flag.StringVar(&f.File, "file", "", "the database's file")
	flag.Parse()
	return f
}

// Serve serves HTTP until SIGTERM.
func Serve(address string, handler http.Handler) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	server := &http.Server{Addr: address, Handler: handler}
	go func() { // ends with the process
		<-end
		_ = server.Close() // the process ends
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

// Command centrifuge serves counts with the Go library centrifuge: with its documented
// defaults, or with every setting that makes it cheaper (--best): pooled write buffers, a
// read buffer of 1 KB, commands off the read loop, and only the newest publication of a
// channel within 50 ms. Counts are in Redis; channels are in memory, which is cheaper than
// the library's Redis broker.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/bench/peer/wire"
)

// batchDelay is tallycast's --flush-interval.
const batchDelay = 50 * time.Millisecond

type topicsKey struct{}

func main() {
	best := flag.Bool("best", false, "use the best settings instead of the defaults")
	flags := wire.ParseFlags()
	config := centrifuge.Config{LogLevel: centrifuge.LogLevelError, LogHandler: func(entry centrifuge.LogEntry) {
		log.Printf("%s %v", entry.Message, entry.Fields)
	}}
	// Pings are sent as often as by default. Pongs are not required: the bench's viewers send
	// none.
	beats := centrifuge.PingPongConfig{PingInterval: 25 * time.Second, PongTimeout: -1}
	socket := centrifuge.WebsocketConfig{CheckOrigin: func(*http.Request) bool { return true }, PingPongConfig: beats}
	if *best {
		config.GetChannelBatchConfig = func(string) centrifuge.ChannelBatchConfig {
			return centrifuge.ChannelBatchConfig{MaxDelay: batchDelay, FlushLatestPublication: true}
		}
		socket.UseWriteBufferPool = true
		socket.ReadBufferSize = 1024
		socket.ProcessCommandsOffReadLoop = true
	}
	node, err := centrifuge.New(config)
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		topics, _ := ctx.Value(topicsKey{}).([]string)
		reply := centrifuge.ConnectReply{Subscriptions: map[string]centrifuge.SubscribeOptions{}}
		for _, topic := range topics {
			reply.Subscriptions[topic] = centrifuge.SubscribeOptions{}
		}
		return reply, nil
	})
	node.OnConnect(func(*centrifuge.Client) {})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	counts := redis.NewClient(&redis.Options{Addr: flags.Redis})
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/v1/:site/:metric/:key", func(c *gin.Context) {
		topic := c.Param("site") + "/" + c.Param("metric") + "/" + c.Param("key")
		count, err := counts.Incr(c, "count:"+topic).Result()
		if err == nil {
			_, err = node.Publish(topic, wire.AppendFrame(nil, topic, count))
		}
		if err != nil {
			c.String(http.StatusServiceUnavailable, err.Error())
			return
		}
		c.JSON(http.StatusOK, gin.H{"topic": topic, "count": count})
	})
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", withTopics(centrifuge.NewWebsocketHandler(node, socket)))
	mux.Handle("/connection/sse", withTopics(centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{PingPongConfig: beats})))
	mux.Handle("/", router)
	wire.Serve(flags.Listen, mux)
}

// withTopics subscribes a client to the topics of its request.
func withTopics(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := centrifuge.SetCredentials(r.Context(), &centrifuge.Credentials{UserID: "viewer"})
		ctx = context.WithValue(ctx, topicsKey{}, r.URL.Query()["topic"])
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

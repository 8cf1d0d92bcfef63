// Command naive is the obvious implementation: Gin, go-redis INCR then PUBLISH, and a
// goroutine and a channel for each viewer, with Server-Sent Events by Gin's writer and
// WebSocket by coder/websocket. It has no visitors: each POST counts. A viewer whose channel
// is full misses frames.
package main

import (
	"context"
	"log"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/bench/peer/wire"
)

// mailbox is the capacity of a viewer's channel, in frames.
const mailbox = 16

type hub struct {
	redis *redis.Client

	mu      sync.Mutex
	viewers map[string]map[chan []byte]struct{} // by topic
}

func main() {
	flags := wire.ParseFlags()
	h := &hub{
		redis:   redis.NewClient(&redis.Options{Addr: flags.Redis}),
		viewers: map[string]map[chan []byte]struct{}{},
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/v1/:site/:metric/:key", h.like)
	router.GET("/stream", h.stream)
	router.GET("/ws", h.socket)
	go h.listen() // ends with the process
	wire.Serve(flags.Listen, router)
}

// like increments the count and publishes it.
func (h *hub) like(c *gin.Context) {
	topic := c.Param("site") + "/" + c.Param("metric") + "/" + c.Param("key")
	count, err := h.redis.Incr(c, "count:"+topic).Result()
	if err == nil {
		err = h.redis.Publish(c, "count:"+topic, wire.AppendFrame(nil, topic, count)).Err()
	}
	if err != nil {
		c.String(http.StatusServiceUnavailable, err.Error())
		return
	}
	c.JSON(http.StatusOK, gin.H{"topic": topic, "count": count})
}

// listen forwards publications to the viewers.
func (h *hub) listen() {
	messages := h.redis.PSubscribe(context.Background(), "count:*")
	for message := range messages.Channel() {
		topic := strings.TrimPrefix(message.Channel, "count:")
		frame := []byte(message.Payload)
		h.mu.Lock()
		for viewer := range h.viewers[topic] {
			select {
			case viewer <- frame:
			default: // the viewer is slow and misses this frame
			}
		}
		h.mu.Unlock()
	}
	log.Fatal("the subscription ended")
}

// join returns a channel of the topic's frames, the current one first.
func (h *hub) join(c *gin.Context, topic string) (chan []byte, error) {
	viewer := make(chan []byte, mailbox)
	h.mu.Lock()
	if h.viewers[topic] == nil {
		h.viewers[topic] = map[chan []byte]struct{}{}
	}
	h.viewers[topic][viewer] = struct{}{}
	h.mu.Unlock()
	count, err := h.redis.Get(c, "count:"+topic).Int64()
	if err != nil && err != redis.Nil {
		h.leave(topic, viewer)
		return nil, err
	}
	viewer <- wire.AppendFrame(nil, topic, count)
	viewer <- []byte(wire.Live)
	return viewer, nil
}

func (h *hub) leave(topic string, viewer chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers[topic], viewer)
}

func (h *hub) stream(c *gin.Context) {
	topic := c.Query("topic")
	viewer, err := h.join(c, topic)
	if err != nil {
		c.String(http.StatusServiceUnavailable, err.Error())
		return
	}
	defer h.leave(topic, viewer)
	c.Header("Content-Type", "text/event-stream")
	c.Header("Cache-Control", "no-store")
	for {
		select {
		case <-c.Request.Context().Done():
			return
		case frame := <-viewer:
			if _, err := c.Writer.WriteString("data: " + string(frame) + "\n\n"); err != nil {
				return
			}
			c.Writer.Flush()
		}
	}
}

func (h *hub) socket(c *gin.Context) {
	topic := c.Query("topic")
	conn, err := websocket.Accept(c.Writer, c.Request, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	viewer, err := h.join(c, topic)
	if err != nil {
		return
	}
	defer h.leave(topic, viewer)
	ctx := conn.CloseRead(c.Request.Context())
	for {
		select {
		case <-ctx.Done():
			return
		case frame := <-viewer:
			if err := conn.Write(ctx, websocket.MessageText, frame); err != nil {
				return
			}
		}
	}
}

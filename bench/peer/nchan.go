package peer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer/wire"
)

// nchanModule is its path on Debian.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// nchanConfiguration keeps the newest message of a channel only.
const nchanConfiguration = `load_module MODULE;
worker_processes auto;
worker_rlimit_nofile 20000;
daemon off;
pid DIR/pid;
error_log DIR/error.log;
events { worker_connections 20000; }
http {
	access_log off;
	client_body_temp_path DIR;
	proxy_temp_path DIR;
	fastcgi_temp_path DIR;
	uwsgi_temp_path DIR;
	scgi_temp_path DIR;
	keepalive_requests 1000000000;
	nchan_shared_memory_size 256M;
	server {
		listen ADDRESS backlog=4096;
		location = /publish {
			nchan_publisher;
			nchan_channel_id $arg_id;
			nchan_message_buffer_length 1;
		}
		location = /subscribe {
			nchan_subscriber eventsource websocket;
			nchan_channel_id $arg_id;
			nchan_message_buffer_length 1;
			nchan_subscriber_first_message oldest;
		}
	}
}
`

// Nchan returns nginx with its push module. It keeps no counts: a like is a frame whose
// count is the number of the like.
func Nchan() *Peer {
	return &Peer{
		Name:       "nchan",
		Settings:   "nginx with libnginx-mod-nchan 1.3.6, worker_processes auto, nchan_message_buffer_length 1; it keeps no counts and receives the frame",
		Transports: bothTransports,
		start:      startNchan,
		endpoint: func(load.Transport) load.Endpoint {
			return load.Endpoint{Path: "/subscribe?{topics}", TopicParam: "id={topic}"}
		},
		like: func(dst []byte, topic string, n int64) []byte {
			return appendPost(dst, "/publish?id="+topic, func(body []byte) []byte {
				return wire.AppendFrame(body, topic, n)
			})
		},
	}
}

func startNchan(ctx context.Context, s *Server, _ Options) error {
	name, err := lookPath("nginx", "nginx libnginx-mod-nchan")
	if err != nil {
		return err
	}
	if _, err := os.Stat(nchanModule); err != nil {
		return fmt.Errorf("%w; install it as root: apt-get install -y --no-install-recommends libnginx-mod-nchan", err)
	}
	// If root starts it, its workers run as another user.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	text := strings.NewReplacer("MODULE", nchanModule, "DIR", s.dir, "ADDRESS", s.Address).Replace(nchanConfiguration)
	path := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return s.run(ctx, name, "-p", s.dir, "-c", path)
}

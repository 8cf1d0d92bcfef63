// socket.io with its Redis adapter: WebSocket only, no compression, one room for each topic.
// Counts are in Redis.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const { values: flags } = parseArgs({ options: { listen: { type: "string" }, redis: { type: "string" } } });
const baseVersion = 1790000000000000; // as long as tallycast's

const counts = createClient({ url: `redis://${flags.redis}` });
const subscriber = counts.duplicate();
await Promise.all([counts.connect(), subscriber.connect()]);

const server = createServer(async (request, response) => {
	const topic = request.url.slice("/v1/".length);
	request.resume();
	try {
		const count = await counts.incr(`count:${topic}`);
		io.to(topic).emit("count", { topic, count, version: baseVersion + count });
		const body = JSON.stringify({ topic, count });
		response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }).end(body);
	} catch (error) {
		const body = String(error);
		response.writeHead(503, { "Content-Length": Buffer.byteLength(body) }).end(body);
	}
});
const io = new Server(server, {
	adapter: createAdapter(counts, subscriber),
	transports: ["websocket"],
	perMessageDeflate: false,
	serveClient: false,
	pingTimeout: 3600000, // ms; pings are sent as often as by default, pongs are not required
});
io.on("connection", async (socket) => {
	const topic = new URL(socket.request.url, "http://x").searchParams.get("topic");
	await socket.join(topic);
	const count = Number(await counts.get(`count:${topic}`));
	socket.emit("count", { topic, count, version: baseVersion + count });
	socket.emit("live");
});
const [host, port] = flags.listen.split(":");
server.listen({ host, port: Number(port), backlog: 4096 });
process.on("SIGTERM", () => process.exit(0));

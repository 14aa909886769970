"""An agent that does what a story tells it to: nothing but python3's standard library, one file.

GET /health   200, or what HEALTH says           GET /stream   server-sent events: one at once, one for each /push
GET /whoami   version, process, replica          GET /hold     no answer; /left counts callers who went away
POST /echo    the request as it arrived          GET /ws       WebSocket: every text comes back in upper case
POST /slow    answers after a /push              GET /waiting  how many wait for a /push
GET /end?N    the process ends with code N     POST /pause?N answers after N seconds
POST /burn?N  uses a core for N seconds, beside  POST /deaf   takes no connections any more, keeps none
POST /fill?N  holds N MiB of memory              (what is burning already goes on as it is)
Listens only after START_SECONDS. Every FAIL_EVERYth /echo answers 500, each after ECHO_SECONDS.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
from pathlib import Path

PORT = int(os.environ.get("PORT", "8080"))
pushed: set[asyncio.Queue] = set()
START = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
left = 0
echoes = 0
filled = b""
burning = None
FAIL_EVERY = int(os.environ.get("FAIL_EVERY", "0"))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while not writer.is_closing() and (head := await read_head(reader)):
            method, target, headers = head
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            await ACTIONS.get(target.partition("?")[0], missing)(reader, writer, method, target, headers, body)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def read_head(reader):
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = lines[0].split(" ")
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    return method, target, {name.lower(): value.strip() for name, value in pairs}


async def reply(writer, body, status=200, kind="application/json") -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    after = "keep-alive" if server.is_serving() else "close"
    head = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\nconnection: {after}"
    writer.write(f"{head}\r\n\r\n".encode() + data)
    await writer.drain()
    if after == "close":
        writer.close()


async def missing(reader, writer, method, target, headers, body) -> None:
    await reply(writer, {"missing": target}, 404)


async def health(reader, writer, *_) -> None:
    await reply(writer, {"status": "Healthy"}, int(os.environ.get("HEALTH", "200")))


async def whoami(reader, writer, *_) -> None:
    started = START
    replica = os.environ["ROOST_REPLICA_ID"]
    said = {"version": os.environ.get("VERSION"), "pid": os.getpid(), "started": started, "replica": replica}
    await reply(writer, said)


async def echo(reader, writer, method, target, headers, body) -> None:
    global echoes
    echoes += 1
    await asyncio.sleep(float(os.environ.get("ECHO_SECONDS", "0")))
    if FAIL_EVERY and echoes % FAIL_EVERY == 0:
        return await reply(writer, {"failed": echoes}, 500)
    print(f"echo {body.decode()}", flush=True)
    await reply(writer, {"method": method, "target": target, "headers": headers, "body": body.decode()})


async def push(reader, writer, *_) -> None:
    for queue in pushed:
        queue.put_nowait("pushed")
    await reply(writer, {"listeners": len(pushed)})


async def waiting(reader, writer, *_) -> None:
    await reply(writer, {"waiting": len(pushed)})


async def slow(reader, writer, *_) -> None:
    queue: asyncio.Queue = asyncio.Queue()
    pushed.add(queue)
    await queue.get()
    pushed.discard(queue)
    await reply(writer, {"slow": True})


async def pause(reader, writer, method, target, headers, body) -> None:
    await asyncio.sleep(float(target.partition("?")[2]))
    await reply(writer, {"paused": True})


async def burn(reader, writer, method, target, headers, body) -> None:
    global burning
    seconds = float(target.partition("?")[2])
    program = f"import time; end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    if burning is None or burning.returncode is not None:
        burning = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await reply(writer, {"burning": seconds})


async def fill(reader, writer, method, target, headers, body) -> None:
    global filled
    filled = b"x" * (int(target.partition("?")[2]) << 20)
    await reply(writer, {"filled": len(filled)})


async def deaf(reader, writer, *_) -> None:
    server.close()
    await reply(writer, {"deaf": os.environ["ROOST_REPLICA_ID"]})


async def stream(reader, writer, *_) -> None:
    queue: asyncio.Queue = asyncio.Queue()
    pushed.add(queue)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    try:
        event = "open"
        while event:
            data = f"data: {event}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
            event = await until_gone(reader, queue.get())
    finally:
        pushed.discard(queue)
    raise ConnectionResetError


async def hold(reader, writer, *_) -> None:
    await until_gone(reader, asyncio.Event().wait())
    raise ConnectionResetError


async def until_gone(reader, work):
    """What `work` gives, or None, and counted, when the caller goes away first."""
    global left
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))
    done, others = await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    if gone in done:
        left += 1
        return None
    return working.result()


async def count_left(reader, writer, *_) -> None:
    await reply(writer, {"left": left})


async def end(reader, writer, method, target, headers, body) -> None:
    print("asked to end", flush=True)
    os._exit(int(target.partition("?")[2]))


async def websocket(reader, writer, method, target, headers, body) -> None:
    key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    head = f"HTTP/1.1 101 Up\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    writer.write(head.encode())
    while (frame := await read_frame(reader))[0] == 1:
        text = frame[1].upper()
        writer.write(bytes([0x81, len(text)]) + text)
        await writer.drain()
    writer.write(bytes([0x88, len(frame[1])]) + frame[1])
    raise ConnectionResetError


async def read_frame(reader):
    """Opcode and payload of a short masked frame."""
    first, second = await reader.readexactly(2)
    mask, payload = await reader.readexactly(4), await reader.readexactly(second & 0x7F)
    return first & 0xF, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


ACTIONS = {
    "/health": health,
    "/whoami": whoami,
    "/echo": echo,
    "/push": push,
    "/waiting": waiting,
    "/slow": slow,
    "/pause": pause,
    "/burn": burn,
    "/fill": fill,
    "/deaf": deaf,
    "/stream": stream,
    "/hold": hold,
    "/left": count_left,
    "/end": end,
    "/ws": websocket,
}


async def main() -> None:
    global server
    await asyncio.sleep(float(os.environ.get("START_SECONDS", "0")))
    server = await asyncio.start_server(serve, "0.0.0.0", PORT)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    print(f"version {os.environ.get('VERSION')} listens on {PORT}", flush=True)
    print("a line on stderr", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


def stop() -> None:
    print("stopping well", flush=True)
    os._exit(0)


asyncio.run(main())

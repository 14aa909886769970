"""The agent that is called: the least work an HTTP server can do, so that what lies before it shows."""

PROGRAM = """
import select, socket

ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{}"

listener = socket.create_server(("0.0.0.0", 8080), backlog=1024)
listener.setblocking(False)
poll = select.epoll()
poll.register(listener, select.EPOLLIN)
connections = {}


def accept():
    connection, _ = listener.accept()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections[connection.fileno()] = connection
    poll.register(connection, select.EPOLLIN)


def answer(number):
    connection = connections[number]
    try:
        received = connection.recv(65536)
        if received:
            connection.send(ANSWER * received.count(b"\\r\\n\\r\\n"))
            return
    except OSError:
        pass
    poll.unregister(number)
    connections.pop(number).close()


while True:
    for number, _ in poll.poll():
        accept() if number == listener.fileno() else answer(number)
"""


def version(number: int) -> str:
    """The program, telling in every answer which version it is."""
    return PROGRAM.replace("content-type:", f"x-version: {number}\\r\\ncontent-type:")

"""HTTP that cannot be read: it never reaches the application, and is answered with the one envelope all the same."""

import uuid

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roost_server.api.errors import raw
from roost_server.domain import errors


class EnvelopeProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, but for the answer to what is no HTTP."""

    def send_400_response(self, msg: str) -> None:
        body = raw(errors.BadRequest("cannot read the request: it is not HTTP, or its address is too long"))
        head = [
            "HTTP/1.1 400 Bad Request",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"x-request-id: {uuid.uuid4()}",
            "connection: close",
        ]
        self.transport.write("\r\n".join([*head, "", ""]).encode() + body)
        self.transport.close()

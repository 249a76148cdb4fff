"""What can go wrong between the terminal and the issuer."""

from __future__ import annotations

from protocol.errors import BlindRelayError


class IssuerError(BlindRelayError):
    """The issuer gave no usable answer."""


class UnreachableError(IssuerError):
    """No answer after every retry. What the issuer did with the request is unknown."""


class NotAnIssuerError(IssuerError):
    """Something answered, but not with this API."""


class ProblemError(IssuerError):
    """The issuer refused a request: RFC 9457 problem details with a `code` and a `request_id`."""

    def __init__(self, status: int, code: str, detail: str, request_id: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id

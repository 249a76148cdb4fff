"""What can go wrong between the terminal and the issuer."""

from __future__ import annotations

from protocol.errors import BlindRelayError


class IssuerError(BlindRelayError):
    """The issuer gave no usable answer."""

    busy = False
    """Whether it did answer, that it cannot now."""


class UnreachableError(IssuerError):
    """No answer after every retry. What the issuer did with the request is unknown.

    `never_sent` says that nothing came of it: no attempt got a connection, or more than "too many requests".
    """

    def __init__(
        self, why: str, *, never_sent: bool = False, busy: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(why)
        self.never_sent = never_sent
        self.busy = busy
        self.retry_after = retry_after
        """Seconds that the issuer wants us to wait before we ask again."""


class NeverSentError(IssuerError):
    """The issuer never took up a charge or a refund; says what `failure` said."""

    def __init__(self, failure: IssuerError) -> None:
        super().__init__(str(failure))
        self.busy = failure.busy


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

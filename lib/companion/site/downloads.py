"""Files from elsewhere: asked for a few times, taken only if they are what they should be."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

#: Seconds before the second, third, ... attempt.
PAUSES = (1.0, 3.0)
_USER = re.compile(r"//[^/]*@")
#: Answers by which a server says that it is the moment that is bad.
_PASSING = (408, 425, 429)


class DownloadError(RuntimeError):
    """A file that could not be had; the message says where and why, in one line."""


def fetched(
    address: str,
    algorithm: str,
    digest: bytes,
    timeout: float = 60,
    pauses: Sequence[float] = PAUSES,
) -> bytes:
    """The content behind an address, if it has the digest that it should have.

    An attempt fails after `timeout` seconds without an answer; `pauses` are the seconds before
    further ones.  `DownloadError` if none gives this content.
    """
    problem = f"cannot fetch {_USER.sub('//', address)}: "
    for pause in (*pauses, None):
        again = True
        try:
            with urllib.request.urlopen(address, timeout=timeout) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            again = error.code >= 500 or error.code in _PASSING
            reason = f"the server answers {error.code} {error.reason}"
        except (ValueError, http.client.InvalidURL):  # their texts may show a password
            again, reason = False, "this is no address that can be asked"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        else:
            found = hashlib.new(algorithm, content)
            if found.digest() == digest:
                return content
            reason = f"what comes ({len(content):,} bytes) has the {algorithm} {found.hexdigest()}"
            reason += f", not {digest.hex()}"
        if not again or pause is None:
            break
        time.sleep(pause)
    raise DownloadError(problem + " ".join(reason.split()))

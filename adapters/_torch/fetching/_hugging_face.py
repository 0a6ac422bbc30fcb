"""The Hugging Face hub's client, which timm loads through."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isotune import downloads
from isotune.adapters._torch.fetching._download import Download
from isotune.errors import UsageError

_CLIENTS = {"httpx2": "HTTPError", "httpx": "HTTPError", "requests": "RequestException"}  # of its versions


@contextmanager
def hub(model: str, checkpoint: str, repository: str, files: tuple[str, ...]) -> Iterator[None]:
    """While timm loads from the hub: what is cached is used without asking the network, which the hub's client would
    otherwise try for minutes; what is not is refused at once when the network cannot be reached.

    model: adapter:name. repository: OWNER/NAME, perhaps @REVISION. files: of which one is enough.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
    from huggingface_hub.file_download import repo_folder_name

    repo_id, _, revision = repository.partition("@")
    constants = huggingface_hub.constants
    cached_at = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type="model")
    download = Download(model, checkpoint, f"{constants.ENDPOINT}/{repo_id}", cached_at)
    cached = [huggingface_hub.try_to_load_from_cache(repo_id, file, revision=revision or None) for file in files]
    is_cached = any(isinstance(path, str) for path in cached)
    before = constants.HF_HUB_OFFLINE
    if not is_cached:
        if before:
            raise download.not_cached()
        download.refuse_offline()
    try:
        constants.HF_HUB_OFFLINE = before or is_cached
        with download.loading():
            yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise download.not_cached(_answer(error)) from None
    except HfHubHTTPError as error:
        raise UsageError(
            f"{download} cannot be loaded from {download.url}: {str(error).partition(chr(10))[0]}"
        ) from None
    except _of_the_client() as error:
        raise download.not_cached(downloads.reason(error)) from None
    except OSError as error:
        if error.errno is not None:  # the system's: no room, no permission
            raise
        raise download.not_cached(downloads.reason(error)) from None  # a file that is not of the size that was said
    finally:
        constants.HF_HUB_OFFLINE = before


def _answer(error: BaseException | None) -> str:
    """What a server answered, where the client says no more than that it has not the file; empty: none did."""
    while error is not None:
        if (answer := getattr(error, "response", None)) is not None:
            return f"the server answers {answer.status_code} {answer.reason_phrase}".strip()
        error = error.__cause__ or error.__context__
    return ""


def _of_the_client() -> tuple[type[Exception], ...]:
    """What the client lets pass of the library that it asks the network with: no answer in time, an end too soon."""
    return tuple(getattr(sys.modules[name], error) for name, error in _CLIENTS.items() if name in sys.modules)

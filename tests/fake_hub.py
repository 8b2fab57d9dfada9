"""A hub on this machine: the routes that publishing takes, and what was sent to them.

It keeps files as the hub does: regular ones come in the commit, base64 in lines of JSON, and large ones go to a store
of their own before, by digest.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_a_token_of_tests"


class FakeHub:
    """``repos``: (kind, name) -> path -> bytes. ``refuse``: a part of a path -> the status that it answers with."""

    def __init__(self, lfs=()):
        self.repos, self.store, self.requests, self.commits, self.refuse = {}, {}, [], [], {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hub.requests.append((self.command, self.path))
                status, answer = hub.answer(self.command, self.path, body, self.headers.get("Authorization"))
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if status >= 400:
                    self.send_header("X-Error-Message", answer.get("error", ""))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = handle_one

            def log_message(self, *words):
                pass

        self.lfs = tuple(lfs)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method, path, body, token):
        for part, status in self.refuse.items():
            if part in path:
                return status, {"error": "as the test wants it"}
        if token != f"Bearer {TOKEN}" and not path.startswith("/store/"):
            return 401, {"error": "Invalid username or password."}
        if method == "PUT" and path.startswith("/store/"):
            self.store[path.removeprefix("/store/")] = body
            return 200, {}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if match := re.match(r"/api/(dataset|space)s/([^/]+/[^/]+)/(tree|preupload|commit)/main", path):
            files = self.repos.get(match.groups()[:2])
            if files is None:
                return 404, {"error": "Repository not found"}
            return getattr(self, f"_{match[3]}")(files, body, match)
        if match := re.match(r"/(dataset|space)s/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            objects = json.loads(body)["objects"]
            actions = [{**one, "actions": {"upload": {"href": f"{self.url}/store/{one['oid']}"}}} for one in objects]
            return 200, {"transfer": "basic", "objects": actions}
        return 404, {"error": f"no route {method} {path}"}

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        key = (asked["type"], name)
        self.created = asked
        status = 409 if key in self.repos else 200
        self.repos.setdefault(key, {".gitattributes": b"*.xz filter=lfs diff=lfs merge=lfs -text\n"})
        return status, {"url": f"{self.url}/{asked['type']}s/{name}", "error": "You already created it"}

    def _tree(self, files, body, match):
        return 200, [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in files.items()
        ]

    def _preupload(self, files, body, match):
        asked = json.loads(body)["files"]
        return 200, {
            "files": [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(self.lfs) and self.lfs else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for one in asked
            ]
        }

    def _commit(self, files, body, match):
        head, *lines = map(json.loads, body.decode().splitlines())
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.store[value["oid"]]
                assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]
            else:
                assert line["key"] == "deletedFile", line
                del files[value["path"]]
        self.commits.append(head["value"]["summary"])
        where = f"{self.url}/{match[1]}s/{match[2]}/commit/{len(self.commits):040x}"
        return 200, {"commitUrl": where, "commitOid": f"{len(self.commits):040x}"}

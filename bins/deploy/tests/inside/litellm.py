"""LiteLLM as far as keys go, with the rules of 1.106: unique aliases, keys of at least 16 characters that end, users of their own.
Prints its port. `GET /keys` tells all keys, which LiteLLM does not."""

import http.server
import json
import sys
import time

MASTER = sys.argv[1]
users, keys = set(), {}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, answer):
        body = json.dumps(answer if status == 200 else {"error": {"message": answer, "code": str(status)}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def bearer(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/keys":
            return self.say(200, [{"key": key, **one} for key, one in keys.items()])
        if path == "/key/info":
            one = keys.get(self.bearer())
            return self.say(200, {"info": one}) if one and one["end"] > time.time() else self.say(401, "Authentication Error")
        if self.bearer() != MASTER:
            return self.say(401, "Authentication Error")
        if path == "/key/list":
            return self.say(200, {"keys": list(keys.values())})
        self.say(200, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.bearer() != MASTER:
            return self.say(401, "Authentication Error")
        end = time.time() + 3600 * int(body.get("duration", "0h").removesuffix("h"))
        if self.path == "/user/new":
            known = body["user_id"] in users
            users.add(body["user_id"])
            return self.say(409, "User already exists") if known else self.say(200, {})
        if self.path == "/key/generate":
            if len(body["key"]) < 16 or any(one["key_alias"] == body["key_alias"] for one in keys.values()):
                return self.say(400, "Unique key aliases across all keys are required")
            keys[body["key"]] = {"key_alias": body["key_alias"], "user_id": body["user_id"], "end": end}
            return self.say(200, {"key": body["key"]})
        if self.path == "/key/update":
            if body["key"] not in keys:
                return self.say(404, "Key not found.")
            keys[body["key"]]["end"] = end
            return self.say(200, {})
        gone = [key for key, one in keys.items() if one["key_alias"] in body["key_aliases"]]
        for key in gone:
            del keys[key]
        self.say(200, {"deleted_keys": gone}) if gone else self.say(404, "No keys found")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()

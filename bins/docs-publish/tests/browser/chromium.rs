//! Chromium without a window, over the DevTools protocol: <https://chromedevtools.github.io/devtools-protocol/>. It is spoken on
//! two pipes, so no port and no library is needed.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// How long a page may take to get to where it is expected. Machines are slow, and browsers large.
const PATIENCE: Duration = Duration::from_secs(120);

/// The browser: `CAUSEWAY_CHROMIUM`, or one of that name on the path.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CAUSEWAY_CHROMIUM").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// One page in a browser of its own.
pub(crate) struct Page {
    browser: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    /// What the page complained about.
    errors: Vec<String>,
    /// Statuses by address.
    statuses: Vec<(String, u64)>,
    _profile: tempfile::TempDir,
}

impl Page {
    pub(crate) fn open(program: &Path) -> Page {
        let profile = tempfile::tempdir().unwrap();
        // It listens on descriptor 3 and speaks on 4.
        let mut browser = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--window-size=1000,600",
                "--no-first-run",
                "--no-proxy-server",
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = browser.stdin.take().unwrap();
        let mut reader = BufReader::new(browser.stdout.take().unwrap());
        let (send, output) = channel();
        std::thread::spawn(move || {
            loop {
                let mut message = Vec::new();
                if reader.read_until(0, &mut message).unwrap_or(0) == 0 {
                    return;
                }
                message.pop();
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut page = Page {
            browser,
            input,
            output,
            session: None,
            calls: 0,
            errors: vec![],
            statuses: vec![],
            _profile: profile,
        };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            page.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.output.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{method}: {e}"));
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let told = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.errors.push(told["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if told["type"] == "error" => {
                self.errors.push(told["args"].to_string())
            }
            "Log.entryAdded" if told["entry"]["level"] == "error" => {
                let entry = &told["entry"];
                self.errors.push(format!("{} {}", entry["text"], entry["url"]));
            }
            "Network.responseReceived" => {
                let response = &told["response"];
                let url = response["url"].as_str().unwrap_or_default().to_owned();
                self.statuses.push((url, response["status"].as_u64().unwrap_or_default()));
            }
            _ => {}
        }
    }

    /// The value of an expression in the page; nothing while the page is being replaced.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let answer =
            self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is as expected.
    pub(crate) fn becomes(&mut self, expression: &str, expected: &Value) {
        let end = Instant::now() + PATIENCE;
        loop {
            let value = self.value(expression);
            if value == *expected {
                return;
            }
            let errors = &self.errors;
            assert!(Instant::now() < end, "{expression} is {value}, not {expected}; errors: {errors:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Loads an address and waits until all of it is there.
    pub(crate) fn visit(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        let there = format!(
            "location.href !== 'about:blank' && performance.getEntriesByType('navigation')[0].name === {} && document.readyState",
            json!(url)
        );
        let moved = format!(
            "document.readyState === 'complete' && ({there} === 'complete' || performance.getEntriesByType('navigation')[0].redirectCount > 0)"
        );
        self.becomes(&moved, &json!(true));
    }

    /// Clicks what a selector finds.
    pub(crate) fn click(&mut self, selector: &str) {
        let expression = format!("document.querySelector({}).click()", json!(selector));
        self.call("Runtime.evaluate", json!({ "expression": expression }));
    }

    /// What went wrong since the last time this was asked.
    pub(crate) fn errors(&mut self) -> Vec<String> {
        // What was said before this answer has come in with it.
        self.value("0");
        std::mem::take(&mut self.errors)
    }

    /// The last status of an address.
    pub(crate) fn status(&self, url: &str) -> Option<u64> {
        self.statuses.iter().rev().find(|(seen, _)| seen == url).map(|(_, status)| *status)
    }

    /// What it looks like, as a PNG in base64.
    pub(crate) fn picture(&mut self) -> String {
        self.call("Page.captureScreenshot", json!({}))["data"].as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It ends when its pipe does, with all its processes; one that hangs is ended here.
        let _ = self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if !matches!(self.browser.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

//! Drives a real Chromium without a window over WebDriver, for the page's tests and pictures.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::stack::{eventually, work_folder};
use crate::{http, tools};

/// Longer than any single request to the browser takes.
const CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long a page may take to reach the state that a test waits for.
const SOON: Duration = Duration::from_secs(120);
/// How often to try. The driver takes a port of IPv4 and then the same one of IPv6, which another process
/// may have.
const STARTS: u32 = 5;
/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// With these, Chromium sends requests to the page only, stores nothing, and also runs as root.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Chromium ends when its driver ends, for whatever reason.
    "--remote-debugging-pipe",
];

/// The window of a page, and what the person prefers.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether the person prefers dark colours.
    pub dark: bool,
    /// Whether the person prefers less motion.
    pub still: bool,
}

impl View {
    /// A laptop, with light colours and motion.
    pub const LAPTOP: Self = Self {
        width: 1366,
        height: 768,
        dark: false,
        still: false,
    };
    /// A phone, with light colours and motion.
    pub const PHONE: Self = Self {
        width: 390,
        height: 844,
        dark: false,
        still: false,
    };
}

/// A browser with one page. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    _driver: Child,
    session: String,
    http: reqwest::Client,
    profile: PathBuf,
}

impl Browser {
    /// Starts a browser with a profile of its own.
    ///
    /// # Errors
    /// When there is no Chromium and it cannot be installed, or it does not start.
    pub async fn start(view: View) -> anyhow::Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let chromium = tokio::task::spawn_blocking(tools::chromium).await??;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile = work_folder().join(format!("browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&profile)?;
        let (driver, port) = start_driver(&chromium.driver).await?;
        let mut arguments: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let http = http::client(CALL_WITHIN)?;
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium.browser, "args": arguments },
        } } });
        let url = format!("http://127.0.0.1:{port}/session");
        let session = called(http.post(&url), Some(&wanted)).await?;
        let id = session
            .get("sessionId")
            .and_then(Value::as_str)
            .context("the browser gave no session")?;
        let browser = Self {
            _driver: driver,
            session: format!("{url}/{id}"),
            http,
            profile,
        };
        browser.check_all(view).await?;
        Ok(browser)
    }

    /// Changes the window and the preferences.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn check_all(&self, view: View) -> anyhow::Result<()> {
        let metrics = json!({
            "width": view.width, "height": view.height,
            "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)
            .await?;
        let scheme = if view.dark { "dark" } else { "light" };
        let motion = if view.still {
            "reduce"
        } else {
            "no-preference"
        };
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &media).await?;
        Ok(())
    }

    /// Opens a page.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("url", &json!({ "url": url })).await?;
        Ok(())
    }

    /// Runs a script on the page as the body of a function, and returns its result.
    ///
    /// # Errors
    /// With what the script has thrown.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
            .await
    }

    /// Waits until this expression is true on the page.
    ///
    /// # Errors
    /// When it is still false after two minutes.
    pub async fn until(&self, expression: &str) -> anyhow::Result<()> {
        eventually(expression, SOON, async || {
            let value = self.run(&format!("return !!({expression})")).await?;
            Ok((value == Value::Bool(true)).then_some(()))
        })
        .await
    }

    /// Clicks on an element, as a person does.
    ///
    /// # Errors
    /// When there is no such element, or it cannot be seen and clicked.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.element(selector).await?;
        self.post(&format!("element/{element}/click"), &json!({}))
            .await?;
        Ok(())
    }

    /// Replaces the content of a field, key by key.
    ///
    /// # Errors
    /// When there is no such field.
    pub async fn write(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let element = self.element(selector).await?;
        self.post(&format!("element/{element}/clear"), &json!({}))
            .await?;
        self.post(
            &format!("element/{element}/value"),
            &json!({ "text": text }),
        )
        .await?;
        Ok(())
    }

    /// Presses keys in the element that has the focus. `\u{e004}` is the tabulator, `\u{e007}` enter.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn press(&self, keys: &str) -> anyhow::Result<()> {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.post("actions", &keyboard).await?;
        Ok(())
    }

    /// Writes a picture of the window as PNG.
    ///
    /// # Errors
    /// When there is no picture, or the file cannot be written.
    pub async fn screenshot(&self, file: &Path) -> anyhow::Result<()> {
        let url = format!("{}/screenshot", self.session);
        let picture = called(self.http.get(url), None).await?;
        let picture = picture.as_str().context("the browser gave no picture")?;
        std::fs::write(file, STANDARD.decode(picture)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Ends the browser, and waits for its end. A browser that is only dropped may leave its profile behind.
    pub async fn close(self) {
        // If the request fails, dropping ends the browser.
        let _ = called(self.http.delete(&self.session), None).await;
    }

    async fn element(&self, selector: &str) -> anyhow::Result<String> {
        let what = json!({ "using": "css selector", "value": selector });
        let found = self.post("element", &what).await?;
        let id = found.get(ELEMENT).and_then(Value::as_str);
        Ok(id.with_context(|| format!("no {selector}"))?.to_owned())
    }

    async fn devtools(&self, command: &str, parameters: &Value) -> anyhow::Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", &body).await
    }

    async fn post(&self, command: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/{command}", self.session);
        called(self.http.post(url), Some(body)).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that was not closed may still write files. They stay in `target`.
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Starts the driver, and returns the port that it has chosen.
async fn start_driver(program: &Path) -> anyhow::Result<(Child, u16)> {
    let mut said = String::new();
    for _ in 0..STARTS {
        let mut driver = Command::new(program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = driver.stdout.take().context("the driver has no output")?;
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return Ok((driver, port.trim_end_matches('.').parse()?));
            }
            said.push_str(&line);
            said.push('\n');
        }
    }
    bail!("the driver of Chromium does not start:\n{said}")
}

async fn called(request: reqwest::RequestBuilder, body: Option<&Value>) -> anyhow::Result<Value> {
    let request = match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(body.to_string()),
        None => request,
    };
    let answer = request.send().await?;
    let status = answer.status();
    let mut answer: Value = serde_json::from_str(&answer.text().await?)?;
    let value = answer.get_mut("value").map(Value::take).unwrap_or_default();
    ensure!(status.is_success(), "the browser refuses: {value}");
    Ok(value)
}

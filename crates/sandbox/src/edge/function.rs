//! What functions get and give: requests and responses as their events have them.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html>

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// Headers that functions neither see nor add:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html>.
const HIDDEN: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "upgrade",
    "x-cache",
    "x-forwarded-proto",
    "x-real-ip",
];
const HIDDEN_BEGINNINGS: &[&str] = &["x-accel-", "x-amz-cf-", "x-amzn-", "x-edge-"];
/// Headers that functions see and do not change.
const READ_ONLY_IN_REQUESTS: &[&str] = &["content-length", "host", "transfer-encoding", "via"];
const READ_ONLY_IN_RESPONSES: &[&str] = &["content-length", "transfer-encoding", "via", "warning"];
/// The longest path, in characters.
const LONGEST: usize = 8192;

fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name) || HIDDEN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// What a function returned is not what it may return; CloudFront answers 502.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid(pub(super) String);

fn invalid<T>(why: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(why.into()))
}

/// What a viewer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    /// As it was sent, with its escapes.
    pub(super) uri: String,
    /// Names and values as they were sent.
    pub(super) query: Vec<(String, String)>,
    /// In lower case, without cookies.
    pub(super) headers: Vec<(String, String)>,
    pub(super) cookies: Vec<(String, String)>,
}

impl Asked {
    pub(super) fn of(parts: &http::request::Parts) -> Asked {
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_owned(), value.to_owned())
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let query = parts.uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let cookies = parts.headers.get_all(header::COOKIE).iter().map(text).collect::<Vec<_>>().join("; ");
        let headers = parts.headers.iter().filter(|(name, _)| *name != header::COOKIE);
        Asked {
            method: parts.method.to_string(),
            uri: parts.uri.path().to_owned(),
            query: query.map(pair).collect(),
            headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
            cookies: cookies.split(';').map(str::trim).filter(|part| !part.is_empty()).map(pair).collect(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn event(&self) -> Value {
        let shown = self.headers.iter().filter(|(name, _)| !is_hidden(name));
        json!({
            "method": self.method,
            "uri": self.uri,
            "querystring": fields(self.query.iter()),
            "headers": fields(shown),
            "cookies": fields(self.cookies.iter()),
        })
    }

    /// What a function makes of it.
    pub(super) fn changed(&self, output: &Value) -> Result<Asked, Invalid> {
        let Some(uri) = output["uri"].as_str() else { return invalid("a request without a uri") };
        if !uri.starts_with('/') || uri.len() > LONGEST || uri.contains(['?', '#', ' ', '\n', '\r']) {
            return invalid(format!("the uri {uri}"));
        }
        let mut headers: Vec<(String, String)> =
            self.headers.iter().filter(|(name, _)| is_hidden(name)).cloned().collect();
        let given = pairs(&output["headers"])?;
        for name in READ_ONLY_IN_REQUESTS {
            let one = |all: &[(String, String)]| {
                all.iter()
                    .filter(|(given, _)| given == name)
                    .map(|(_, value)| value.clone())
                    .collect::<Vec<_>>()
            };
            if one(&given) != one(&self.headers) {
                return invalid(format!("the header {name} of a request is read-only"));
            }
        }
        for (name, value) in given {
            checked(&name, &value)?;
            headers.push((name, value));
        }
        Ok(Asked {
            method: self.method.clone(),
            uri: uri.to_owned(),
            query: pairs(&output["querystring"])?,
            headers,
            cookies: pairs(&output["cookies"])?,
        })
    }

    /// The query string.
    pub(super) fn query_of(pairs: &[(String, String)]) -> String {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
            .collect();
        pairs.join("&")
    }
}

/// Names and values as functions see them.
fn fields<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        match all.get_mut(name) {
            None => drop(all.insert(name.clone(), json!({ "value": value }))),
            Some(field) => {
                if field["multiValue"].is_null() {
                    field["multiValue"] = json!([{ "value": field["value"] }]);
                }
                if let Some(values) = field["multiValue"].as_array_mut() {
                    values.push(json!({ "value": value }));
                }
            }
        }
    }
    all.into()
}

/// Names and values as functions give them.
fn pairs(fields: &Value) -> Result<Vec<(String, String)>, Invalid> {
    let Some(fields) = fields.as_object() else {
        return if fields.is_null() { Ok(Vec::new()) } else { invalid("fields that are no object") };
    };
    let mut all = Vec::new();
    for (name, field) in fields {
        let many = field["multiValue"].as_array().map(Vec::as_slice);
        for one in many.unwrap_or(std::slice::from_ref(field)) {
            let Some(value) = one["value"].as_str() else {
                return invalid(format!("{name} has no value that is a text"));
            };
            all.push((name.clone(), value.to_owned()));
        }
    }
    Ok(all)
}

fn checked(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Invalid> {
    if is_hidden(name) {
        return invalid(format!("the header {name} is not allowed"));
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return invalid(format!("the header {name} is not in lower case"));
    }
    match (name.parse(), value.parse()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => invalid(format!("the header {name}: {value}")),
    }
}

/// What a viewer gets.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Given {
    /// A response that a function makes instead of a request.
    pub(super) fn generated(output: &Value) -> Result<Given, Invalid> {
        let status = output["statusCode"].as_u64().and_then(|code| u16::try_from(code).ok());
        let Some(status) = status.and_then(|code| StatusCode::from_u16(code).ok()) else {
            return invalid(format!("the statusCode {}", output["statusCode"]));
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs(&output["headers"])? {
            let (name, value) = checked(&name, &value)?;
            headers.append(name, value);
        }
        set_cookies(&mut headers, &output["cookies"])?;
        let body = match &output["body"] {
            Value::Null => Bytes::new(),
            Value::String(text) => Bytes::copy_from_slice(text.as_bytes()),
            body => match (body["encoding"].as_str(), body["data"].as_str()) {
                (Some("base64"), Some(data)) => match STANDARD.decode(data) {
                    Ok(data) => data.into(),
                    Err(_) => return invalid("a body that is no base64"),
                },
                (Some("text") | None, Some(data)) => Bytes::copy_from_slice(data.as_bytes()),
                _ => return invalid("a body without data"),
            },
        };
        Ok(Given { status, headers, body })
    }

    pub(super) fn event(&self) -> Value {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (cookies, headers): (Vec<_>, Vec<_>) = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .filter(|(name, _)| !is_hidden(name))
            .partition(|(name, _)| name == "set-cookie");
        let mut named = Map::new();
        for (_, cookie) in cookies {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((&cookie, ""));
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            named.insert(name.to_owned(), json!({ "value": value, "attributes": attributes.trim() }));
        }
        json!({
            "statusCode": self.status.as_u16(),
            "statusDescription": self.status.canonical_reason().unwrap_or_default(),
            "headers": fields(headers.iter()),
            "cookies": named,
        })
    }

    /// What a function makes of it.
    pub(super) fn changed(mut self, output: &Value) -> Result<Given, Invalid> {
        if output["statusCode"].as_u64() != Some(self.status.as_u16().into()) {
            return invalid("a function does not change the status of a response");
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if is_hidden(name.as_str()) {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in pairs(&output["headers"])? {
            let (name, value) = checked(&name, &value)?;
            headers.append(name, value);
        }
        for name in READ_ONLY_IN_RESPONSES {
            if headers.get(*name) != self.headers.get(*name) {
                return invalid(format!("the header {name} of a response is read-only"));
            }
        }
        set_cookies(&mut headers, &output["cookies"])?;
        self.headers = headers;
        Ok(self)
    }
}

fn set_cookies(headers: &mut HeaderMap, cookies: &Value) -> Result<(), Invalid> {
    for (name, cookie) in cookies.as_object().into_iter().flatten() {
        let many = cookie["multiValue"].as_array().map(Vec::as_slice);
        for one in many.unwrap_or(std::slice::from_ref(cookie)) {
            let Some(value) = one["value"].as_str() else { return invalid(format!("the cookie {name}")) };
            let attributes = one["attributes"].as_str().filter(|attributes| !attributes.is_empty());
            let line = match attributes {
                Some(attributes) => format!("{name}={value}; {attributes}"),
                None => format!("{name}={value}"),
            };
            let Ok(line) = line.parse() else { return invalid(format!("the cookie {name}")) };
            headers.append(header::SET_COOKIE, line);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        let request = http::Request::get("/a%20b?x=1&y&x=2%2B")
            .header("Host", "h")
            .header("Accept", "text/html")
            .header("Cookie", "one=1; two=a=b")
            .header("X-Real-IP", "1.2.3.4");
        Asked::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn an_event_has_the_documented_form() {
        let expected = json!({
            "method": "GET",
            "uri": "/a%20b",
            "querystring": { "x": { "value": "1", "multiValue": [{ "value": "1" }, { "value": "2%2B" }] }, "y": { "value": "" } },
            "headers": { "host": { "value": "h" }, "accept": { "value": "text/html" } },
            "cookies": { "one": { "value": "1" }, "two": { "value": "a=b" } },
        });
        assert_eq!(asked().event(), expected);
    }

    #[test]
    fn an_event_that_comes_back_changes_nothing() {
        let asked = asked();
        let again = asked.changed(&asked.event()).unwrap();
        assert_eq!(again.event(), asked.event());
        assert_eq!(Asked::query_of(&again.query), "x=1&x=2%2B&y");
    }

    #[test]
    fn what_a_request_may_not_become_is_told() {
        for (field, value) in [
            ("uri", json!("a")),
            ("uri", json!("/a?b")),
            ("uri", Value::Null),
            ("headers", json!({ "accept": { "value": "a" } })),
            ("headers", json!({ "host": { "value": "h" }, "x-cache": { "value": "a" } })),
            ("headers", json!({ "host": { "value": "h" }, "a": { "value": 1 } })),
            ("headers", json!({ "host": { "value": "h" }, "A": { "value": "1" } })),
        ] {
            let mut output = asked().event();
            output[field] = value.clone();
            assert!(asked().changed(&output).is_err(), "{field} {value}");
        }
    }

    #[test]
    fn a_response_is_generated_with_its_cookies_and_its_body() {
        let given = Given::generated(&json!({
            "statusCode": 302,
            "headers": { "location": { "value": "/" } },
            "cookies": { "a": { "value": "1", "attributes": "Path=/; Secure" } },
            "body": { "encoding": "base64", "data": "aGk=" },
        }))
        .unwrap();
        assert_eq!(given.status, 302);
        assert_eq!(given.headers["set-cookie"], "a=1; Path=/; Secure");
        assert_eq!(given.body, "hi");
        assert!(Given::generated(&json!({ "statusCode": 42 })).is_err());
        assert!(
            Given::generated(&json!({ "statusCode": 200, "headers": { "x-edge-a": { "value": "" } } }))
                .is_err()
        );
    }

    #[test]
    fn a_response_keeps_its_status_and_what_is_read_only() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("2"));
        headers.insert("set-cookie", HeaderValue::from_static("a=1; Path=/"));
        let given = Given { status: StatusCode::OK, headers, body: Bytes::from_static(b"hi") };
        let event = given.event();
        assert_eq!(given.clone().changed(&event).unwrap().headers, given.headers);
        let mut status = event.clone();
        status["statusCode"] = 201.into();
        assert!(given.clone().changed(&status).is_err());
        let mut length = event;
        length["headers"] = json!({});
        assert!(given.changed(&length).is_err());
    }
}

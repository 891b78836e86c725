//! What the API answers: its envelope, and its refusals with their codes.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer on its way out.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The codes of its errors, for the log of calls.
    pub(super) codes: Vec<u32>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Answer { status, headers, body: body.into(), codes: Vec::new() }
    }

    /// A result in its envelope; a list comes with its `result_info`.
    pub(super) fn result(result: Value, info: Option<Value>) -> Answer {
        let mut body = json!({ "result": result, "success": true, "errors": [], "messages": [] });
        if let (Some(info), Some(body)) = (info, body.as_object_mut()) {
            body.insert("result_info".to_owned(), info);
        }
        Answer::new(StatusCode::OK, "application/json", body.to_string())
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Why the API does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) within: Within,
}

/// What an error may be the cause of, in its `error_chain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// It stands for itself.
    Nothing,
    /// 6003.
    Headers,
    /// 1004, unless the server is set not to wrap.
    Validation,
}

impl Refusal {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal { status, code, message: message.into(), within: Within::Nothing }
    }

    /// A record that is not valid.
    pub(super) fn invalid(code: u32, message: impl Into<String>) -> Refusal {
        Refusal { within: Within::Validation, ..Refusal::new(400, code, message) }
    }

    /// A header that is malformed.
    pub(super) fn header(code: u32, message: &str) -> Refusal {
        Refusal { within: Within::Headers, ..Refusal::new(400, code, message) }
    }

    /// Something that Cloudflare refuses with a code that we do not know.
    pub(super) fn without_code(message: impl Into<String>) -> Refusal {
        Refusal::new(400, 0, message)
    }

    /// The answer. `chains`: whether a validation error is wrapped in 1004.
    pub(super) fn answer(&self, chains: bool) -> Answer {
        let inner = json!({ "code": self.code, "message": self.message });
        let outer = match self.within {
            Within::Headers => Some((6003, "Invalid request headers")),
            Within::Validation if chains => Some((1004, "DNS Validation Error")),
            _ => None,
        };
        let mut codes = vec![self.code];
        let error = match outer {
            Some((code, message)) => {
                codes.insert(0, code);
                json!({ "code": code, "message": message, "error_chain": [inner] })
            }
            None => inner,
        };
        let body = json!({ "result": null, "success": false, "errors": [error], "messages": [] });
        Answer { codes, ..Answer::new(self.status, "application/json", body.to_string()) }
    }
}

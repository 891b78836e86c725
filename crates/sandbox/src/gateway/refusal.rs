//! Errors as the services themselves would write them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::operation::Wire;
use super::route::Protocol;

/// A complete answer to a call.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Answer { status, headers, body: body.into() }
    }
}

const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// An error in the form of the wire protocol.
pub(crate) fn refuse(wire: Wire, service: &str, status: u16, code: &str, message: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let who = if status.is_server_error() { "Receiver" } else { "Sender" };
    let text = escape(message);
    let mut answer = match wire {
        Wire::Cbor => {
            let mut body = vec![0xa2];
            for part in ["__type", code, "message", message] {
                cbor_text(&mut body, part);
            }
            let mut answer = Answer::new(status, "application/cbor", body);
            answer.headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
            answer
        }
        Wire::Service(Protocol::Ec2) => Answer::new(
            status,
            "text/xml;charset=UTF-8",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
            ),
        ),
        // S3 has no ErrorResponse around its error.
        Wire::Service(Protocol::RestXml) if service == "s3" => Answer::new(
            status,
            "application/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{text}</Message><RequestId>{REQUEST_ID}</RequestId></Error>"
            ),
        ),
        Wire::Service(Protocol::Query | Protocol::RestXml) => Answer::new(
            status,
            "text/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error><Type>{who}</Type><Code>{code}</Code><Message>{text}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
            ),
        ),
        Wire::Service(Protocol::Json) => Answer::new(
            status,
            "application/x-amz-json-1.1",
            serde_json::json!({ "__type": code, "message": message }).to_string(),
        ),
        Wire::Service(Protocol::RestJson) => Answer::new(
            status,
            "application/json",
            serde_json::json!({ "message": message, "code": code }).to_string(),
        ),
    };
    if let (Wire::Service(Protocol::RestJson | Protocol::Json), Ok(code)) =
        (wire, HeaderValue::from_str(code))
    {
        answer.headers.insert("x-amzn-errortype", code);
    }
    answer.headers.insert("x-amzn-requestid", HeaderValue::from_static(REQUEST_ID));
    answer
}

/// The throttling error of a service: code, status and words differ between them.
pub(crate) fn throttle(wire: Wire, service: &str) -> Answer {
    let (status, code, message) = match (wire, service) {
        (Wire::Service(Protocol::Ec2), _) => (503, "RequestLimitExceeded", "Request limit exceeded."),
        (_, "s3") => (503, "SlowDown", "Please reduce your request rate."),
        (_, "dynamodb") => (
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput was exceeded.",
        ),
        (_, "eks" | "bedrock") => (429, "TooManyRequestsException", "Too many requests."),
        (Wire::Service(Protocol::Query | Protocol::RestXml), _) => (400, "Throttling", "Rate exceeded"),
        _ => (400, "ThrottlingException", "Rate exceeded"),
    };
    refuse(wire, service, status, code, message)
}

/// Somebody who may not do this.
pub(crate) fn denied(wire: Wire, service: &str, operation: &str) -> Answer {
    let message = format!("User is not authorized to perform: {service}:{operation}");
    match wire {
        Wire::Service(Protocol::Ec2) => refuse(wire, service, 403, "UnauthorizedOperation", &message),
        Wire::Service(Protocol::Query | Protocol::RestXml) => {
            refuse(wire, service, 403, "AccessDenied", &message)
        }
        _ => refuse(wire, service, 400, "AccessDeniedException", &message),
    }
}

/// Credentials that have run out.
pub(crate) fn expired(wire: Wire, service: &str) -> Answer {
    let message = "The security token included in the request is expired";
    match wire {
        Wire::Service(Protocol::Ec2) => refuse(wire, service, 400, "RequestExpired", message),
        Wire::Service(Protocol::Query | Protocol::RestXml) => {
            refuse(wire, service, 403, "ExpiredToken", message)
        }
        _ => refuse(wire, service, 400, "ExpiredTokenException", message),
    }
}

/// A quota that is used up.
pub(crate) fn quota(wire: Wire, service: &str, operation: &str) -> Answer {
    let message = "The maximum number has been reached.";
    let code = match (wire, service, operation) {
        (_, "ec2", "CreateVpc") => "VpcLimitExceeded",
        (_, "ec2", "AllocateAddress") => "AddressLimitExceeded",
        (Wire::Service(Protocol::Ec2), ..) => "ResourceLimitExceeded",
        (_, "rds", _) => "InstanceQuotaExceeded",
        (_, "elasticloadbalancing", _) => "TooManyLoadBalancers",
        (Wire::Service(Protocol::Query | Protocol::RestXml), ..) => "LimitExceeded",
        _ => "LimitExceededException",
    };
    refuse(wire, service, 400, code, message)
}

/// An internal error of a service.
pub(crate) fn internal(wire: Wire, service: &str) -> Answer {
    let (code, message) = match wire {
        Wire::Service(Protocol::Ec2) => ("InternalError", "An internal error has occurred"),
        Wire::Service(Protocol::Query | Protocol::RestXml) if service == "s3" => {
            ("InternalError", "We encountered an internal error. Please try again.")
        }
        Wire::Service(Protocol::Query | Protocol::RestXml) => {
            ("InternalFailure", "The request processing has failed because of an unknown error.")
        }
        _ if service == "ecs" || service == "ecr" => {
            ("ServerException", "These errors are usually caused by a server issue.")
        }
        _ => ("InternalServerException", "The request processing has failed because of an unknown error."),
    };
    refuse(wire, service, 500, code, message)
}

/// Text as XML content.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One definite-length text string.
fn cbor_text(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX))];
    match u16::try_from(bytes.len()).unwrap_or(u16::MAX) {
        len @ 0..24 => out.push(0x60 | len as u8),
        len @ 24..256 => out.extend([0x78, len as u8]),
        len => {
            out.push(0x79);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn throttling_looks_as_each_service_writes_it() {
        let ec2 = throttle(Wire::Service(Protocol::Ec2), "ec2");
        assert_eq!(ec2.status, 503);
        assert!(text(&ec2).contains("<Errors><Error><Code>RequestLimitExceeded</Code>"));
        let iam = throttle(Wire::Service(Protocol::Query), "iam");
        assert_eq!(iam.status, 400);
        assert!(text(&iam).contains("<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"));
        let ecs = throttle(Wire::Service(Protocol::Json), "ecs");
        assert_eq!(ecs.status, 400);
        assert!(text(&ecs).contains(r#""__type":"ThrottlingException""#));
        let eks = throttle(Wire::Service(Protocol::RestJson), "eks");
        assert_eq!(eks.headers["x-amzn-errortype"], "TooManyRequestsException");
        let s3 = throttle(Wire::Service(Protocol::RestXml), "s3");
        assert_eq!(s3.status, 503);
        assert!(text(&s3).contains("?>\n<Error><Code>SlowDown</Code>"));
    }

    #[test]
    fn cbor_errors_are_a_map_of_two_texts() {
        let answer = refuse(Wire::Cbor, "monitoring", 400, "Nope", "no");
        assert_eq!(&answer.body[..], b"\xa2\x66__type\x64Nope\x67message\x62no");
    }

    #[test]
    fn messages_are_escaped() {
        let answer = refuse(Wire::Service(Protocol::Query), "iam", 400, "Bad", "a <b> & c");
        assert!(text(&answer).contains("a &lt;b&gt; &amp; c"));
    }
}

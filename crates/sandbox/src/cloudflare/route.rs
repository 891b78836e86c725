//! Which operation a request asks for.

use http::Method;

use super::answer::Refusal;

/// An operation of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    VerifyToken,
    Zones,
    Zone(String),
    Records(String, Records),
}

/// An operation on the records of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Records {
    List,
    Post,
    Batch,
    Get(String),
    Put(String),
    Patch(String),
    Delete(String),
}

impl Route {
    /// Reads the path after `/client/v4`.
    pub(super) fn read(method: &Method, path: &str) -> Result<Route, Refusal> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let get = |route| match *method {
            Method::GET => Ok(route),
            _ => Err(method_refused(method)),
        };
        match segments[..] {
            ["user", "tokens", "verify"] => get(Route::VerifyToken),
            ["zones"] => get(Route::Zones),
            ["zones", zone] => get(Route::Zone(id(zone, path)?)),
            ["zones", zone, "dns_records"] => {
                let zone = id(zone, path)?;
                match *method {
                    Method::GET => Ok(Route::Records(zone, Records::List)),
                    Method::POST => Ok(Route::Records(zone, Records::Post)),
                    _ => Err(method_refused(method)),
                }
            }
            ["zones", zone, "dns_records", "batch"] => match *method {
                Method::POST => Ok(Route::Records(id(zone, path)?, Records::Batch)),
                _ => Err(method_refused(method)),
            },
            ["zones", zone, "dns_records", record] => {
                let (zone, record) = (id(zone, path)?, id(record, path)?);
                let operation = match *method {
                    Method::GET => Records::Get(record),
                    Method::PUT => Records::Put(record),
                    Method::PATCH => Records::Patch(record),
                    Method::DELETE => Records::Delete(record),
                    _ => return Err(method_refused(method)),
                };
                Ok(Route::Records(zone, operation))
            }
            _ => Err(Refusal::new(400, 7000, "No route for that URI")),
        }
    }

    /// `records:batch`: what rules and the log of calls say.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Route::VerifyToken => "token:verify",
            Route::Zones => "zones:list",
            Route::Zone(_) => "zones:get",
            Route::Records(_, operation) => match operation {
                Records::List => "records:list",
                Records::Post => "records:post",
                Records::Batch => "records:batch",
                Records::Get(_) => "records:get",
                Records::Put(_) => "records:put",
                Records::Patch(_) => "records:patch",
                Records::Delete(_) => "records:delete",
            },
        }
    }

    /// The id of the zone that it is about.
    pub(super) fn zone(&self) -> Option<&str> {
        match self {
            Route::Zone(zone) | Route::Records(zone, _) => Some(zone),
            _ => None,
        }
    }
}

fn id(text: &str, path: &str) -> Result<String, Refusal> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let message =
        || format!("Could not route to /client/v4{path}, perhaps your object identifier is invalid?");
    is_id.then(|| text.to_owned()).ok_or_else(|| Refusal::new(404, 7003, message()))
}

fn method_refused(method: &Method) -> Refusal {
    Refusal::new(405, 7001, format!("Method {method} not available for that URI."))
}

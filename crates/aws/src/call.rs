//! What a failed AWS call means for the engine: decided by error code and status, never by the words.

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use causeway_core::{Class, Error};
use std::fmt;

/// Names the call in the error and classifies it; everything else stays in the source chain.
pub trait Call<T> {
    /// `call` as the service names it: `ec2:CreateVpc`.
    ///
    /// # Errors
    /// [`Error::Call`] with the [`Class`] that fits the error code or the HTTP status.
    fn call(self, call: &'static str) -> Result<T, Error>;

    /// As [`Call::call`], for a call where these codes mean that something it needs has not spread or settled yet.
    /// Only where the service documents it: elsewhere the same code may be final.
    ///
    /// # Errors
    /// As [`Call::call`].
    fn call_later(self, call: &'static str, codes: &[&str]) -> Result<T, Error>;
}

impl<T, E> Call<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn call(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error::Call { call, class: class(&error), source: Box::new(Answer::of(&error)) })
    }

    fn call_later(self, call: &'static str, codes: &[&str]) -> Result<T, Error> {
        let later =
            self.as_ref().err().and_then(ProvideErrorMetadata::code).is_some_and(|c| codes.contains(&c));
        self.call(call).map_err(|error| match error {
            Error::Call { call, source, .. } if later => Error::Call { call, class: Class::NotNow, source },
            other => other,
        })
    }
}

fn class<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Class {
    let SdkError::ServiceError(answer) = error else {
        return match error {
            // The request was never sent: wrong input or no credentials.
            SdkError::ConstructionFailure(_) => Class::Final,
            _ => Class::Transient,
        };
    };
    let status = answer.raw().status().as_u16();
    match answer.err().code() {
        Some(code) if throttled(code) => Class::Throttled,
        Some(code) if not_now(code) => Class::NotNow,
        Some(code) if not_found(code) => Class::NotFound,
        Some(code) if denied(code) => Class::Denied,
        _ if status == 429 => Class::Throttled,
        _ if status == 404 => Class::NotFound,
        _ if status >= 500 => Class::Transient,
        _ => Class::Final,
    }
}

/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html> and the EC2 error code list.
pub(crate) fn throttled(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "PriorRequestNotComplete"
            | "EC2ThrottledException"
            | "SlowDown"
    )
}

/// Something else still uses it, changes it, or has not spread yet.
fn not_now(code: &str) -> bool {
    matches!(
        code,
        "DependencyViolation"
            | "DeleteConflict"
            | "DeleteConflictException"
            | "ResourceInUse"
            | "ResourceInUseException"
            | "InvalidGroup.InUse"
            | "InvalidIPAddress.InUse"
            | "IncorrectState"
            | "OperationAborted"
            | "ConcurrentModification"
            | "ConcurrentModificationException"
            | "OperationNotPermittedException"
            | "CacheSubnetGroupInUse"
            | "InvalidCacheClusterState"
            | "InvalidReplicationGroupState"
            | "InvalidReplicationGroupStateFault"
            | "InvalidDBInstanceState"
            | "InvalidDBInstanceStateFault"
            | "InvalidDBSubnetGroupStateFault"
            | "InvalidDBParameterGroupState"
            | "InvalidDBParameterGroupStateFault"
            | "ClusterContainsServicesException"
            | "ClusterContainsTasksException"
            | "ServiceNotActiveException"
            | "UpdateInProgressException"
            | "WAFAssociatedItemException"
            | "WAFOptimisticLockException"
            | "WAFTagOperationException"
            | "WAFUnavailableEntityException"
    )
}

fn not_found(code: &str) -> bool {
    code.ends_with(".NotFound")
        || code.ends_with("NotFound")
        || code.ends_with("NotFoundException")
        || code.ends_with("NotFoundFault")
        || matches!(
            code,
            "AWS.SimpleQueueService.NonExistentQueue"
                | "Gateway.NotAttached"
                | "NoSuchEntity"
                | "NoSuchEntityException"
                | "NoSuchHostedZone"
                | "NoSuchBucket"
                | "NoSuchKey"
                | "QueueDoesNotExist"
                | "WAFNonexistentItemException"
        )
}

fn denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "RequestExpired"
    )
}

/// What to do, where the code alone says it.
fn remedy(code: &str, class: Class) -> Option<&'static str> {
    match (class, code) {
        (_, "ExpiredToken" | "ExpiredTokenException" | "RequestExpired") => {
            Some("the credentials have run out: log in again")
        }
        (
            _,
            "InvalidClientTokenId" | "UnrecognizedClientException" | "SignatureDoesNotMatch" | "AuthFailure",
        ) => Some("AWS does not know these credentials: use others"),
        (Class::Denied, _) => Some("the credentials lack the permission: allow it to them, or use others"),
        (Class::Final, code)
            if code.contains("LimitExceeded")
                || code.contains("QuotaExceeded")
                || code.starts_with("TooMany") =>
        {
            Some("a quota of the account is used up: raise it in Service Quotas, or remove what nobody needs")
        }
        _ => None,
    }
}

/// The service's own words: code, message and request id. SDK errors print only "service error" and leave the rest
/// to a debug format that may hold the request.
#[derive(Debug)]
struct Answer(String);

impl Answer {
    fn of<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> Self {
        let SdkError::ServiceError(answer) = error else {
            return Answer(causeway_core::error::chain(error));
        };
        let meta = answer.err();
        let mut text = match (meta.code(), meta.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, Some(message)) => message.to_owned(),
            (None, None) => format!("HTTP status {}", answer.raw().status().as_u16()),
        };
        if let Some(id) = meta.meta().extra("aws_request_id") {
            text.push_str(&format!(" (request {id})"));
        }
        if let Some(remedy) = meta.code().and_then(|code| remedy(code, class(error))) {
            text.push_str(&format!("; {remedy}"));
        }
        Answer(text)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Answer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_the_services_say() {
        assert!(throttled("RequestLimitExceeded"));
        assert!(not_now("DependencyViolation"));
        // An error of the server of ECS: nobody knows whether it had an effect.
        assert!(!not_now("ServerException"));
        assert!(not_found("InvalidVpcID.NotFound"));
        assert!(not_found("ResourceNotFoundException"));
        assert!(!not_found("InvalidParameterValue"));
        assert!(denied("UnauthorizedOperation"));
    }

    #[test]
    fn what_a_code_alone_says_is_said_to_do() {
        let says = |code, class, part: &str| remedy(code, class).is_some_and(|text| text.contains(part));
        assert!(says("RequestExpired", Class::Denied, "log in again"));
        assert!(says("UnauthorizedOperation", Class::Denied, "permission"));
        assert!(says("VpcLimitExceeded", Class::Final, "Service Quotas"));
        assert!(says("TooManyLoadBalancers", Class::Final, "Service Quotas"));
        assert_eq!(remedy("RequestLimitExceeded", Class::Throttled), None);
        assert_eq!(remedy("InvalidParameterValue", Class::Final), None);
    }
}

//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html>

use crate::{id::Arn, shown::shown};
use aws_sdk_elasticloadbalancingv2::types as sdk;
use causeway_core::{Error, Value};
use serde::{Deserialize, Serialize};

/// What a listener or a rule does with a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// Sends it to a target group.
    Forward {
        /// The group.
        target_group_arn: Value<Arn>,
    },
    /// Sends it to one of two target groups. Which one is left to others: ECS moves the weight from one to the other at
    /// each blue/green deployment. A rule that is new sends everything to the first.
    BlueGreen {
        /// The group that gets everything at first.
        target_group_arn: Value<Arn>,
        /// The group that the next revision is registered with.
        alternate_target_group_arn: Value<Arn>,
    },
    /// Sends the client elsewhere.
    Redirect(Redirect),
    /// Answers by itself.
    FixedResponse(FixedResponse),
    /// Something that Causeway does not make, like a forward to three groups or a login; only ever seen in the cloud.
    Other {
        /// AWS's word for it.
        what: String,
    },
}

/// Where a client is sent. Parts that are `None` stay as they are in the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redirect {
    /// `HTTP_301` or `HTTP_302`.
    pub status_code: String,
    /// `HTTP` or `HTTPS`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// The host name; may hold `#{host}`.
    #[serde(default)]
    pub host: Option<String>,
    /// The port as text; may be `#{port}`.
    #[serde(default)]
    pub port: Option<String>,
    /// The path with its slash; may hold `#{path}`.
    #[serde(default)]
    pub path: Option<String>,
    /// The query without its question mark; may hold `#{query}`.
    #[serde(default)]
    pub query: Option<String>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedResponse {
    /// Like `404`: 2XX, 4XX or 5XX.
    pub status_code: String,
    /// `text/plain`, `text/css`, `text/html`, `application/javascript` or `application/json`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// At most 1024 characters.
    #[serde(default)]
    pub message_body: Option<String>,
}

impl Action {
    /// Sends requests to a target group.
    pub fn forward(target_group_arn: impl Into<Value<Arn>>) -> Self {
        Action::Forward { target_group_arn: target_group_arn.into() }
    }

    /// Sends clients to the same address over HTTPS on port 443, for good.
    pub fn redirect_to_https() -> Self {
        Action::Redirect(Redirect {
            status_code: "HTTP_301".into(),
            protocol: Some("HTTPS".into()),
            host: None,
            port: Some("443".into()),
            path: None,
            query: None,
        })
    }

    /// Answers with a status and a line of text.
    pub fn fixed_response(status: u16, message: impl Into<String>) -> Self {
        Action::FixedResponse(FixedResponse {
            status_code: status.to_string(),
            content_type: Some("text/plain".into()),
            message_body: Some(message.into()),
        })
    }

    /// In the words of the SDK.
    ///
    /// # Errors
    /// A value that is not known yet, or an action that we do not make.
    pub(crate) fn sdk(&self) -> Result<sdk::Action, Error> {
        self.sdk_over(&[])
    }

    /// As [`Action::sdk`], for a rule that has the actions `there`: weights that are left to others stay.
    pub(crate) fn sdk_over(&self, there: &[sdk::Action]) -> Result<sdk::Action, Error> {
        let action = sdk::Action::builder();
        Ok(match self {
            Action::Forward { target_group_arn } => action
                .r#type(sdk::ActionTypeEnum::Forward)
                .target_group_arn(target_group_arn.get()?.as_str())
                .build(),
            Action::BlueGreen { target_group_arn, alternate_target_group_arn } => {
                let (blue, green) =
                    (target_group_arn.get()?.as_str(), alternate_target_group_arn.get()?.as_str());
                let weight = |arn: &str| {
                    let named = there.iter().flat_map(weights).find(|(group, _)| *group == arn);
                    named.map_or(0, |(_, weight)| weight)
                };
                let weights = match (weight(blue), weight(green)) {
                    (0, 0) => (100, 0),
                    both => both,
                };
                let group = |arn: &str, weight| {
                    sdk::TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build()
                };
                let forward = sdk::ForwardActionConfig::builder()
                    .target_groups(group(blue, weights.0))
                    .target_groups(group(green, weights.1));
                action.r#type(sdk::ActionTypeEnum::Forward).forward_config(forward.build()).build()
            }
            Action::Redirect(to) => action
                .r#type(sdk::ActionTypeEnum::Redirect)
                .redirect_config(
                    sdk::RedirectActionConfig::builder()
                        .status_code(sdk::RedirectActionStatusCodeEnum::from(to.status_code.as_str()))
                        .set_protocol(to.protocol.clone())
                        .set_host(to.host.clone())
                        .set_port(to.port.clone())
                        .set_path(to.path.clone())
                        .set_query(to.query.clone())
                        .build(),
                )
                .build(),
            Action::FixedResponse(answer) => action
                .r#type(sdk::ActionTypeEnum::FixedResponse)
                .fixed_response_config(
                    sdk::FixedResponseActionConfig::builder()
                        .status_code(&answer.status_code)
                        .set_content_type(answer.content_type.clone())
                        .set_message_body(answer.message_body.clone())
                        .build(),
                )
                .build(),
            Action::Other { what } => {
                return Err(Error::Invalid(format!("actions of the type `{what}` are not supported")));
            }
        })
    }

    /// From the words of the SDK, as a spec that wants `wanted` shows it: what AWS fills in by itself is left out.
    pub(crate) fn shown(wanted: &Action, actions: &[sdk::Action]) -> Self {
        if wanted.names_the_groups_of(actions) {
            return wanted.clone();
        }
        match (wanted, Action::live(actions)) {
            (Action::Redirect(wanted), Action::Redirect(live)) => Action::Redirect(Redirect {
                status_code: live.status_code,
                protocol: shown(wanted.protocol.as_ref(), live.protocol, "#{protocol}".into()),
                host: shown(wanted.host.as_ref(), live.host, "#{host}".into()),
                port: shown(wanted.port.as_ref(), live.port, "#{port}".into()),
                path: shown(wanted.path.as_ref(), live.path, "/#{path}".into()),
                query: shown(wanted.query.as_ref(), live.query, "#{query}".into()),
            }),
            (Action::FixedResponse(wanted), Action::FixedResponse(live)) => {
                Action::FixedResponse(FixedResponse {
                    status_code: live.status_code,
                    content_type: shown(wanted.content_type.as_ref(), live.content_type, "text/plain".into()),
                    message_body: shown(wanted.message_body.as_ref(), live.message_body, String::new()),
                })
            }
            (_, live) => live,
        }
    }

    /// Whether this is [`Action::BlueGreen`] and `actions` forward to those two groups, with whatever weights.
    fn names_the_groups_of(&self, actions: &[sdk::Action]) -> bool {
        let (Action::BlueGreen { target_group_arn, alternate_target_group_arn }, [action]) = (self, actions)
        else {
            return false;
        };
        let (Ok(blue), Ok(green)) = (target_group_arn.get(), alternate_target_group_arn.get()) else {
            return false;
        };
        let there: Vec<&str> = weights(action).map(|(group, _)| group).collect();
        there.len() == 2 && [blue, green].iter().all(|arn| there.contains(&arn.as_str()))
    }

    /// From the words of the SDK. More than one action, which only a login before another one makes, is
    /// [`Action::Other`].
    fn live(actions: &[sdk::Action]) -> Self {
        let [action] = actions else {
            let all: Vec<_> = actions.iter().filter_map(|a| a.r#type.as_ref()).map(|t| t.as_str()).collect();
            return Action::Other { what: all.join(", ") };
        };
        match (&action.r#type, &action.redirect_config, &action.fixed_response_config) {
            (Some(sdk::ActionTypeEnum::Forward), ..) => match only_target(action) {
                Some(arn) => Action::forward(Arn::from(arn)),
                None => Action::Other { what: "weighted forward".into() },
            },
            (Some(sdk::ActionTypeEnum::Redirect), Some(to), _) => Action::Redirect(Redirect {
                status_code: to.status_code.as_ref().map(|s| s.as_str().to_owned()).unwrap_or_default(),
                protocol: to.protocol.clone(),
                host: to.host.clone(),
                port: to.port.clone(),
                path: to.path.clone(),
                query: to.query.clone(),
            }),
            (Some(sdk::ActionTypeEnum::FixedResponse), _, Some(answer)) => {
                Action::FixedResponse(FixedResponse {
                    status_code: answer.status_code.clone().unwrap_or_default(),
                    content_type: answer.content_type.clone(),
                    message_body: answer.message_body.clone(),
                })
            }
            (what, ..) => {
                Action::Other { what: what.as_ref().map(|t| t.as_str().to_owned()).unwrap_or_default() }
            }
        }
    }
}

/// The target groups of a forward and their weights.
fn weights(action: &sdk::Action) -> impl Iterator<Item = (&str, i32)> {
    let groups = action.forward_config().map(|f| f.target_groups()).unwrap_or_default();
    let only = action.target_group_arn().filter(|_| groups.is_empty()).map(|arn| (arn, 1));
    groups.iter().filter_map(|g| Some((g.target_group_arn()?, g.weight().unwrap_or(1)))).chain(only)
}

/// The target of a forward that has only one. AWS shows it in two places, or in one when the forward was written
/// with weights.
fn only_target(action: &sdk::Action) -> Option<&str> {
    let groups = action.forward_config().map(|f| f.target_groups()).unwrap_or_default();
    match groups {
        [] => action.target_group_arn(),
        [only] => only.target_group_arn(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_action_survives_the_way_to_aws_and_back() {
        for action in [
            Action::forward(Arn::from("arn:tg")),
            Action::redirect_to_https(),
            Action::fixed_response(404, "nothing here"),
        ] {
            assert_eq!(Action::live(&[action.sdk().unwrap()]), action);
            let text = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action);
        }
    }

    #[test]
    fn a_reference_to_a_target_group_survives_json() {
        let action = Action::forward(Value::reference(&"web".into(), "arn"));
        let json = serde_json::to_value(&action).unwrap();
        assert_eq!(json, json!({ "type": "forward", "target_group_arn": { "$ref": "web#arn" } }));
        assert_eq!(serde_json::from_value::<Action>(json).unwrap(), action);
        assert!(action.sdk().is_err());
    }

    #[test]
    fn what_aws_fills_in_is_shown_only_to_whoever_wants_something() {
        let mut filled = Redirect {
            status_code: "HTTP_301".into(),
            protocol: Some("HTTPS".into()),
            host: Some("#{host}".into()),
            port: Some("443".into()),
            path: Some("/#{path}".into()),
            query: Some("#{query}".into()),
        };
        let live = Action::Redirect(filled.clone()).sdk().unwrap();
        let wanted = Action::redirect_to_https();
        assert_eq!(Action::shown(&wanted, std::slice::from_ref(&live)), wanted);
        filled.path = Some("/elsewhere".into());
        let shown = Action::shown(&Action::Redirect(filled), &[live]);
        assert!(
            matches!(shown, Action::Redirect(r) if r.path.as_deref() == Some("/#{path}") && r.query.is_some())
        );
    }

    #[test]
    fn whose_turn_it_is_among_two_groups_is_left_to_others() {
        let pair = |blue: &str, green: &str| Action::BlueGreen {
            target_group_arn: Arn::from(blue).into(),
            alternate_target_group_arn: Arn::from(green).into(),
        };
        let wanted = pair("arn:a", "arn:b");
        let weights = |action: &sdk::Action| {
            super::weights(action).map(|(arn, weight)| (arn.to_owned(), weight)).collect::<Vec<_>>()
        };
        let new = wanted.sdk().unwrap();
        assert_eq!(weights(&new), [("arn:a".to_owned(), 100), ("arn:b".to_owned(), 0)]);
        assert_eq!(Action::shown(&wanted, std::slice::from_ref(&new)), wanted);

        // After a deployment, and what is written then, should another field have to be.
        let group =
            |arn: &str, weight| sdk::TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build();
        let forward = sdk::ForwardActionConfig::builder()
            .target_groups(group("arn:a", 0))
            .target_groups(group("arn:b", 100))
            .build();
        let turned =
            sdk::Action::builder().r#type(sdk::ActionTypeEnum::Forward).forward_config(forward).build();
        assert_eq!(Action::shown(&wanted, std::slice::from_ref(&turned)), wanted);
        assert_eq!(weights(&wanted.sdk_over(std::slice::from_ref(&turned)).unwrap())[1].1, 100);

        // Other groups do differ, and what still gets requests goes on getting them.
        let other = pair("arn:c", "arn:b");
        assert_ne!(Action::shown(&other, std::slice::from_ref(&turned)), other);
        assert_eq!(weights(&other.sdk_over(&[turned]).unwrap())[1].1, 100);
        let plain = Action::forward(Arn::from("arn:a")).sdk().unwrap();
        assert_eq!(Action::shown(&wanted, &[plain]), Action::forward(Arn::from("arn:a")));
    }

    #[test]
    fn what_we_do_not_make_is_seen_as_different() {
        let group = |arn: &str| sdk::TargetGroupTuple::builder().target_group_arn(arn).weight(1).build();
        let forward = |groups: Vec<_>| {
            let config = sdk::ForwardActionConfig::builder().set_target_groups(Some(groups)).build();
            sdk::Action::builder().r#type(sdk::ActionTypeEnum::Forward).forward_config(config).build()
        };
        assert_eq!(Action::live(&[forward(vec![group("arn:a")])]), Action::forward(Arn::from("arn:a")));
        let weighted = Action::live(&[forward(vec![group("arn:a"), group("arn:b")])]);
        assert_eq!(weighted, Action::Other { what: "weighted forward".into() });
        assert!(weighted.sdk().is_err());
    }
}

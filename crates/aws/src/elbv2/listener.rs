//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html>

use super::{Action, Certified, Tagged, sdk_tags};
use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_elasticloadbalancingv2::types as sdk;
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// TLS 1.3 and 1.2 with forward secrecy: what [`Listener::https`] asks for.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html>
pub const SSL_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

/// What the API takes when no policy is asked for.
const DEFAULT_SSL_POLICY: &str = "ELBSecurityPolicy-2016-08";

/// A port that a load balancer listens on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// The load balancer.
    pub load_balancer_arn: Value<Arn>,
    /// The port; one listener each.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
    /// Which protocols and ciphers HTTPS takes. `None`: AWS chooses, and it chooses an old one.
    #[serde(default)]
    pub ssl_policy: Option<String>,
    /// The certificate for clients that name no host that another one fits. Required for HTTPS.
    #[serde(default)]
    pub certificate_arn: Option<Value<Arn>>,
    /// More certificates, chosen by the host that a client names. Not the default one once more.
    #[serde(default)]
    pub additional_certificate_arns: Set<Arn>,
    /// For requests that no rule takes.
    pub default_action: Action,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

impl Listener {
    /// HTTP on port 80.
    pub fn http(load_balancer_arn: impl Into<Value<Arn>>, default_action: Action) -> Self {
        Listener {
            load_balancer_arn: load_balancer_arn.into(),
            port: 80,
            protocol: "HTTP".into(),
            ssl_policy: None,
            certificate_arn: None,
            additional_certificate_arns: Set::default(),
            default_action,
            tags: Tags::default(),
        }
    }

    /// HTTPS on port 443 with a modern policy.
    pub fn https(
        load_balancer_arn: impl Into<Value<Arn>>,
        certificate_arn: impl Into<Value<Arn>>,
        default_action: Action,
    ) -> Self {
        Listener {
            port: 443,
            protocol: "HTTPS".into(),
            ssl_policy: Some(SSL_POLICY.into()),
            certificate_arn: Some(certificate_arn.into()),
            ..Self::http(load_balancer_arn, default_action)
        }
    }
}

outputs! {
    /// What a listener tells others.
    pub struct ListenerOutputs => ListenerRefs {
        /// `arn:aws:elasticloadbalancing:..:listener/app/<name>/<id>/<id>`
        pub arn: Arn,
    }
}

impl Resource for Listener {
    const KIND: &'static str = "aws.elbv2.listener";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["load_balancer_arn", "port"]);
    const REPLACE: &'static [&'static str] = &["load_balancer_arn", "port"];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = ListenerOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let balancer = self.load_balancer_arn.get()?;
        let elbv2 = &cx.client.elbv2;
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (all, confirmed) = tokio::join!(
            elbv2.listeners.get(balancer.0.clone()),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let ours = |l: &Certified| l.listener.port == Some(i32::from(self.port));
        let Some(found) = all?.unwrap_or_default().into_iter().find(ours) else { return Ok(None) };
        let arn = found.listener.listener_arn.clone();
        let found = elbv2.with_tags(found, arn.as_deref(), recorded, confirmed).await?;
        Ok(Some(live(self, found)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .elbv2
            .create_listener()
            .load_balancer_arn(self.load_balancer_arn.get()?.as_str())
            .port(i32::from(self.port))
            .protocol(sdk::ProtocolEnum::from(self.protocol.as_str()))
            .set_ssl_policy(self.ssl_policy.clone())
            .set_certificates(self.default_certificate()?)
            .default_actions(self.default_action.sdk()?)
            .set_tags(sdk_tags(&self.tags))
            .send()
            .await
            .call("elasticloadbalancing:CreateListener")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (elbv2, arn) = (&cx.client.elbv2, live.outputs.arn.as_str());
        let https = self.protocol == "HTTPS";
        if ["protocol", "ssl_policy", "certificate_arn", "default_action"].iter().any(|f| diff.touches(f)) {
            let policy = self.ssl_policy.as_deref().or_else(|| {
                // Left out, it stays as it is.
                (https && diff.touches("ssl_policy")).then_some(DEFAULT_SSL_POLICY)
            });
            elbv2
                .modify_listener()
                .listener_arn(arn)
                .protocol(sdk::ProtocolEnum::from(self.protocol.as_str()))
                .set_ssl_policy(policy.map(str::to_owned))
                .set_certificates(self.default_certificate()?)
                .default_actions(self.default_action.sdk()?)
                .send()
                .await
                .call("elasticloadbalancing:ModifyListener")?;
        }
        // A listener that turns to HTTP drops its certificates by itself.
        if https && diff.touches("additional_certificate_arns") {
            self.change_certificates(cx, live).await?;
        }
        elbv2.tag(arn, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let arn = live.outputs.arn.as_str();
        let answer = cx.client.elbv2.delete_listener().listener_arn(arn).send().await;
        answer.call("elasticloadbalancing:DeleteListener").found()?;
        Ok(())
    }
}

impl Listener {
    fn default_certificate(&self) -> Result<Option<Vec<sdk::Certificate>>, Error> {
        let Some(arn) = &self.certificate_arn else { return Ok(None) };
        Ok(Some(certificates([arn.get()?])))
    }

    async fn change_certificates(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let (elbv2, arn) = (&cx.client.elbv2, live.outputs.arn.as_str());
        let wanted = self.additional_certificate_arns.get()?;
        let there = live.spec.additional_certificate_arns.get()?;
        let missing: Vec<&Arn> = wanted.iter().filter(|arn| !there.contains(arn)).collect();
        let extra: Vec<&Arn> = there.iter().filter(|arn| !wanted.contains(arn)).collect();
        // One certificate a call, as the API has it.
        for one in missing {
            elbv2
                .add_listener_certificates()
                .listener_arn(arn)
                .set_certificates(Some(certificates([one])))
                .send()
                .await
                .call("elasticloadbalancing:AddListenerCertificates")?;
        }
        for one in extra {
            elbv2
                .remove_listener_certificates()
                .listener_arn(arn)
                .set_certificates(Some(certificates([one])))
                .send()
                .await
                .call("elasticloadbalancing:RemoveListenerCertificates")?;
        }
        Ok(())
    }
}

fn certificates<'a>(arns: impl IntoIterator<Item = &'a Arn>) -> Vec<sdk::Certificate> {
    arns.into_iter().map(|arn| sdk::Certificate::builder().certificate_arn(arn.as_str()).build()).collect()
}

fn live(wanted: &Listener, found: Tagged<Certified>) -> Live<Listener> {
    let Tagged { thing: Certified { listener, additional }, tags } = found;
    let default = listener.certificates.and_then(|c| c.into_iter().next()).and_then(|c| c.certificate_arn);
    Live {
        outputs: ListenerOutputs { arn: listener.listener_arn.unwrap_or_default().into() },
        status: Status::Ready,
        owner: tags.owner(),
        spec: Listener {
            load_balancer_arn: Value::Known(listener.load_balancer_arn.unwrap_or_default().into()),
            port: listener.port.and_then(|p| u16::try_from(p).ok()).unwrap_or_default(),
            protocol: listener.protocol.map(|p| p.as_str().to_owned()).unwrap_or_default(),
            ssl_policy: shown(
                wanted.ssl_policy.as_ref(),
                listener.ssl_policy.filter(|policy| !policy.is_empty()),
                DEFAULT_SSL_POLICY.to_owned(),
            ),
            // The default one may be in the list of the additional ones too.
            additional_certificate_arns: additional
                .into_iter()
                .filter(|arn| Some(arn) != default.as_ref())
                .map(Arn)
                .collect(),
            certificate_arn: default.map(|arn| Value::Known(arn.into())),
            default_action: Action::shown(
                &wanted.default_action,
                &listener.default_actions.unwrap_or_default(),
            ),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_answers_reads_as_a_spec() {
        let wanted = Listener {
            additional_certificate_arns: [Arn::from("arn:cert/2")].into_iter().collect(),
            ..Listener::https(
                Arn::from("arn:lb"),
                Arn::from("arn:cert/1"),
                Action::forward(Arn::from("arn:tg")),
            )
        };
        let listener = sdk::Listener::builder()
            .listener_arn("arn:listener")
            .load_balancer_arn("arn:lb")
            .port(443)
            .protocol(sdk::ProtocolEnum::Https)
            .ssl_policy(SSL_POLICY)
            .certificates(sdk::Certificate::builder().certificate_arn("arn:cert/1").build())
            .default_actions(wanted.default_action.sdk().unwrap())
            .build();
        let additional = vec!["arn:cert/1".to_owned(), "arn:cert/2".to_owned()];
        let live = live(&wanted, Tagged { thing: Certified { listener, additional }, tags: Tags::default() });
        assert_eq!(serde_json::to_value(&live.spec).unwrap(), serde_json::to_value(&wanted).unwrap());
    }
}

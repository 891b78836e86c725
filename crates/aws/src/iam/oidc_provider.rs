//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>

use super::{live_tags, tag, tags};
use crate::{Aws, Call, id::Arn};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// Lets roles trust the tokens that somebody signs, like a cluster those of its service accounts.
///
/// It has no thumbprints: IAM trusts the issuers of EKS by the authority that signed their certificate, and finds out
/// by itself what it may still need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OidcProvider {
    /// The issuer, with `https://`. One provider each in an account.
    pub url: Value<String>,
    /// Whom its tokens may be for; for service accounts `sts.amazonaws.com`.
    pub client_ids: Set<String>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a provider tells others.
    pub struct OidcProviderOutputs => OidcProviderRefs {
        /// `arn:aws:iam::..:oidc-provider/..`
        pub arn: Arn,
        /// The issuer without `https://`: what condition keys of trust policies begin with.
        pub issuer: String,
    }
}

/// Whom the tokens of service accounts are for.
pub(super) const STS: &str = "sts.amazonaws.com";

impl OidcProvider {
    /// The provider of a cluster, by the issuer that the cluster puts out.
    pub fn service_accounts(issuer: Value<String>) -> Self {
        OidcProvider { url: issuer, client_ids: Set::from_iter([STS]), tags: Tags::default() }
    }
}

impl Resource for OidcProvider {
    const KIND: &'static str = "aws.iam.oidc_provider";
    const RECOVERY: Recovery = Recovery::Name(&["url"]);
    const REPLACE: &'static [&'static str] = &["url"];
    type Client = Aws;
    type Outputs = OidcProviderOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let iam = &cx.client.iam;
        let arn = match &cx.recorded {
            Some(recorded) => Some(recorded.arn.clone()),
            None => named(cx, without_scheme(self.url.get()?)).await?,
        };
        let Some(arn) = arn else { return Ok(None) };
        let get = iam.get_open_id_connect_provider().open_id_connect_provider_arn(arn.as_str());
        let found = get.send().await.call("iam:GetOpenIDConnectProvider").found()?;
        let Some(found) = found else { return Ok(None) };
        let issuer = without_scheme(found.url().unwrap_or_default()).to_owned();
        let tags = live_tags(found.tags());
        Ok(Some(Live {
            spec: OidcProvider {
                url: format!("https://{issuer}").into(),
                client_ids: found.client_id_list().iter().cloned().collect(),
                tags: tags.clone(),
            },
            outputs: OidcProviderOutputs { arn, issuer },
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let create = cx.client.iam.create_open_id_connect_provider().url(self.url.get()?);
        let create = create.set_client_id_list(Some(self.client_ids.get()?));
        let create = create.set_tags(Some(tags(self.tags.iter())?)).send().await;
        create.call("iam:CreateOpenIDConnectProvider").map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let iam = &cx.client.iam;
        let arn = live.outputs.arn.as_str();
        if diff.touches("client_ids") {
            let (wanted, there) = (self.client_ids.get()?, live.spec.client_ids.get()?);
            for id in wanted.iter().filter(|id| !there.contains(id)) {
                let add = iam.add_client_id_to_open_id_connect_provider().open_id_connect_provider_arn(arn);
                add.client_id(id).send().await.call("iam:AddClientIDToOpenIDConnectProvider")?;
            }
            for id in there.iter().filter(|id| !wanted.contains(id)) {
                let remove = iam.remove_client_id_from_open_id_connect_provider();
                let remove = remove.open_id_connect_provider_arn(arn).client_id(id).send().await;
                remove.call("iam:RemoveClientIDFromOpenIDConnectProvider")?;
            }
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            let set =
                iam.tag_open_id_connect_provider().open_id_connect_provider_arn(arn).set_tags(Some(set));
            set.send().await.call("iam:TagOpenIDConnectProvider")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = iam.untag_open_id_connect_provider().open_id_connect_provider_arn(arn);
            untag.set_tag_keys(Some(keys)).send().await.call("iam:UntagOpenIDConnectProvider")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.iam.delete_open_id_connect_provider();
        let delete = delete.open_id_connect_provider_arn(live.outputs.arn.as_str()).send().await;
        delete.call("iam:DeleteOpenIDConnectProvider").found().map(drop)
    }
}

/// The ARN holds the account, so there is no look-up by issuer.
async fn named(cx: &Cx<'_, OidcProvider>, issuer: &str) -> Result<Option<Arn>, Error> {
    let all = cx.client.iam.list_open_id_connect_providers().send().await;
    let all = all.call("iam:ListOpenIDConnectProviders")?.open_id_connect_provider_list.unwrap_or_default();
    let arns = all.into_iter().filter_map(|provider| provider.arn);
    Ok(arns.map(Arn).find(|arn| arn.0.split_once(":oidc-provider/").is_some_and(|(_, of)| of == issuer)))
}

fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

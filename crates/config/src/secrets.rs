//! Looks secrets up where the file says that they are.

use crate::{File, Mistakes};
use causeway_core::Secret;
use causeway_stacks::config::SecretSource;
use std::collections::BTreeMap;

/// Whether whoever runs the deployment has to bring it.
pub(crate) fn is_ours(source: &SecretSource) -> bool {
    !matches!(source, SecretSource::Aws { .. })
}

impl File {
    /// Every secret that the file names, with the keys from the top of the file to it.
    pub(crate) fn named_secrets(&self) -> impl Iterator<Item = (Vec<String>, &SecretSource)> {
        fn at<'a>(path: &[&str], source: &'a SecretSource) -> (Vec<String>, &'a SecretSource) {
            (path.iter().map(|&key| key.to_owned()).collect(), source)
        }
        let ecs = self.config.ecs.iter().flat_map(|ecs| &ecs.secrets);
        let dns = self
            .config
            .ecs
            .iter()
            .filter_map(|ecs| Some(at(&["ecs", "dns", "token"], ecs.dns.token.as_ref()?)));
        let docs = self.config.docs.iter();
        let dns =
            dns.chain(docs.filter_map(|docs| Some(at(&["docs", "dns", "token"], docs.dns.token.as_ref()?))));
        let eks = self.config.eks.iter();
        let proxies = eks.clone().flat_map(|eks| &eks.regions);
        let proxies = proxies.filter_map(|(name, region)| {
            let proxy = region.proxy.as_ref()?;
            Some(at(&["eks", "regions", name, "proxy", "session_token"], &proxy.session_token))
        });
        let coder = eks.filter_map(|eks| eks.coder.as_ref());
        let secrets = coder.clone().flat_map(|coder| &coder.secrets);
        let keys = coder.clone().flat_map(|coder| &coder.organizations).filter_map(|(name, one)| {
            let source = one.provisioner_key.as_ref()?;
            Some(at(&["eks", "coder", "organizations", name, "provisioner_key"], source))
        });
        let sets = coder.clone().flat_map(|coder| &coder.organizations).flat_map(|(name, one)| {
            let at = move |set: &str| {
                ["eks", "coder", "organizations", name.as_str(), "sets", set, "key"]
                    .map(str::to_owned)
                    .to_vec()
            };
            one.sets.iter().map(move |(set, one)| (at(set), &one.key))
        });
        let names = coder.clone().filter_map(|coder| coder.dns.as_ref()?.token.as_ref());
        let token = coder.filter_map(|coder| coder.certificates.cloudflare_token.as_ref());
        ecs.map(|(name, source)| at(&["ecs", "secrets", name], source))
            .chain(secrets.map(|(name, source)| at(&["eks", "coder", "secrets", name], source)))
            .chain(keys)
            .chain(sets)
            .chain(token.map(|source| at(&["eks", "coder", "certificates", "cloudflare_token"], source)))
            .chain(names.map(|source| at(&["eks", "coder", "dns", "token"], source)))
            .chain(dns)
            .chain(proxies)
    }

    /// The secrets that whoever runs the deployment has to bring, by where they stand in the file, like
    /// `ecs.secrets.CODER_OIDC_CLIENT_SECRET`. Those that are in Secrets Manager already are not among them.
    /// `environment` answers for a variable.
    ///
    /// # Errors
    /// Every secret that is not to be found.
    pub fn secrets(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, Secret>, Mistakes> {
        let (mut found, mut problems) = (BTreeMap::new(), vec![]);
        for (path, source) in self.named_secrets() {
            match source.look_up(self.folder(), environment) {
                None => {}
                Some(Ok(secret)) => {
                    found.insert(path.join("."), secret);
                }
                Some(Err(missing)) => problems.push(missing.at(path)),
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(self.mistakes(problems)) }
    }
}

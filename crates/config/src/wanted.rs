//! From the file to what the engine takes: the stack, the rules of the guard, and the named parts of a plan.

use crate::{Config, File, Mistakes, secrets::is_ours};
use causeway_aws::{arn, ecr::Layout, id::HostedZoneId};
use causeway_core::{
    Address, Secret, Stack, Value,
    error::chain,
    guard::Rules,
    moved::Moved,
    plan::matches_pattern,
    signature::PublicKey,
    stack::{StackError, StackErrors},
};
use causeway_k8s::{images::Images, lock::Lock};
use causeway_settings::nearest;
use causeway_stacks::{
    cloudfront,
    config::{Copied, Given, Problem},
    dns::{Dns, DnsAccount, DnsProvider},
    ecs::{self, Architecture},
    eks::{self, Mirrored},
};
use std::path::PathBuf;

/// The parts that `--only` knows by name.
pub const GROUPS: [&str; 3] = ["infra", "app", "docs"];

/// Where Coder is told that its documentation is.
const DOCS_URL: &str = "CODER_DOCS_URL";

/// The address patterns of a named part, if there is one.
pub fn group(name: &str) -> Option<&'static [&'static str]> {
    ecs::group(name).or_else(|| cloudfront::group(name))
}

impl Config {
    /// What a run may do, with the data-bearing resources that it may delete or replace.
    pub fn rules(&self, permits: impl IntoIterator<Item = Address>) -> Rules {
        Rules {
            permits: permits.into_iter().collect(),
            max_removals: Some(self.guard.max_removals),
            public_ports: self.guard.public_ports.iter().copied().collect(),
            allow: self.guard.allow.iter().cloned().collect(),
            protect: self.guard.protect.clone(),
            // What is no window and no key was told when the file was read.
            freezes: self.guard.freeze.iter().filter_map(|f| f.freeze().ok()).collect(),
            signers: self.guard.plan_signers.iter().filter_map(|key| PublicKey::parse(key).ok()).collect(),
            ..Rules::default()
        }
    }
}

impl Config {
    /// The zones that records are written into one by one, each with the mark of its owner.
    pub fn dns_accounts(&self) -> impl Iterator<Item = DnsAccount<'_>> {
        let ecs = self.ecs.as_ref().and_then(|ecs| ecs.dns_account());
        let docs = self.docs.as_ref().and_then(|docs| docs.dns_account());
        let eks = self.eks.as_ref().and_then(|eks| eks.coder.as_ref()?.dns_account());
        [ecs, eks, docs].into_iter().flatten()
    }

    /// Tells `stack` what is claimed; answers with what cannot be.
    fn claims(&self, stack: &mut Stack) -> Vec<Problem> {
        let mut problems = vec![];
        for (name, text) in &self.adopt {
            let address = Address::from(name.as_str());
            let problem = |message: String, help: &str| Problem::at("adopt", message, help).key(name);
            let Some(node) = stack.nodes().get(&address) else {
                let known: Vec<&str> = stack.nodes().keys().map(|a| a.0.as_str()).collect();
                let help = nearest(name, &known).map_or_else(
                    || "`deploy plan` shows the addresses; they look like `app/service`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                problems.push(problem(format!("there is no `{name}` to stand for something"), &help));
                continue;
            };
            match arn::claim(node.kind, text) {
                Ok(identity) => {
                    stack.claim(&address, identity);
                }
                Err(why) => problems.push(problem(
                    format!("what `{name}` stands for {why}"),
                    "give its id, its name or its ARN",
                )),
            }
        }
        problems
    }
}

impl File {
    /// Looks up what the file only names: secrets, and the digest of an image that is to be pushed. `environment`
    /// answers for a variable.
    ///
    /// # Errors
    /// Everything that is not to be found.
    pub fn given(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Given, Mistakes> {
        let secrets = self.secrets(environment);
        let (digest, images, copies) = (self.source_digest(), self.images(), self.copies());
        let problems = [digest.as_ref().err(), images.as_ref().err(), copies.as_ref().err()];
        let problems = problems.into_iter().flatten().cloned();
        let problems: Vec<Problem> = problems.collect();
        match secrets {
            Ok(secrets) if problems.is_empty() => {
                let (source_digest, images) = (digest.ok().flatten(), images.unwrap_or_default());
                let (copies, freezes) = (copies.unwrap_or_default(), self.config.guard.freeze.clone());
                Ok(Given { secrets, source_digest, images, copies, freezes })
            }
            Ok(_) => Err(self.mistakes(problems)),
            Err(missing) if problems.is_empty() => Err(missing),
            Err(missing) => Err(missing.and(self.mistakes(problems))),
        }
    }

    /// As [`File::given`], for a stack that is only asked what it tells people and never applied: what is missing is
    /// made up.
    pub fn given_to_read(&self) -> Given {
        let secrets = self.named_secrets().filter(|(_, source)| is_ours(source));
        let secrets = secrets.map(|(path, _)| (path.join("."), Secret::new(""))).collect();
        let source_digest = self.source_digest().ok().flatten();
        let (images, copies) = (self.images().unwrap_or_default(), self.copies().unwrap_or_default());
        Given { secrets, source_digest, images, copies, freezes: self.config.guard.freeze.clone() }
    }

    /// The stack that the file asks for.
    ///
    /// # Errors
    /// `[guard] protect` names an address that is not in it, or a `[[moved]]` makes no sense.
    pub fn stack(&self, given: &Given) -> Result<Stack, Mistakes> {
        let mut stack = Stack::new(&self.config.stack.name);
        if let Some(config) = &self.config.ecs {
            let mut config = config.clone();
            config.image.source = self.source().map(|path| path.display().to_string());
            if !config.environment.contains_key(DOCS_URL) {
                config.docs_url = config.docs_url.or_else(|| self.docs_url());
            }
            ecs::ecs(&mut stack, &self.config.stack, &config, given);
        }
        if let Some(config) = &self.config.eks {
            let mut config = config.clone();
            if let (Some(coder), Some(url)) = (&mut config.coder, self.docs_url()) {
                coder.environment.entry(DOCS_URL.into()).or_insert(url);
            }
            eks::eks(&mut stack, &self.config.stack, &config, given);
        }
        if let Some(config) = &self.config.docs {
            cloudfront::docs(&mut stack, &self.config.stack, config, self.zone_of_both());
        }
        let mut problems = self.moved(&mut stack);
        for name in &self.config.guard.protect {
            let all: Vec<Address> =
                stack.nodes().keys().filter(|a| matches_pattern(name, &a.0)).cloned().collect();
            for address in &all {
                stack.protect(address);
            }
            if all.is_empty() {
                let known: Vec<&str> = stack.nodes().keys().map(|a| a.0.as_str()).collect();
                let help = match nearest(name, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        "`deploy plan` shows the addresses; they look like `database/instance`".to_owned()
                    }
                };
                problems.push(Problem::at("guard.protect", format!("there is no `{name}` to protect"), help));
            }
        }
        problems.extend(self.config.claims(&mut stack));
        if problems.is_empty() { Ok(stack) } else { Err(self.mistakes(problems)) }
    }

    /// Where the documentation is, if it has a site in this file, and that has a name.
    fn docs_url(&self) -> Option<String> {
        self.config.docs.as_ref()?.url()
    }

    /// The hosted zone of `[docs]`, where `[ecs]` has the same one.
    fn zone_of_both(&self) -> Option<Value<HostedZoneId>> {
        let of = |dns: &'_ Dns| dns.zone.clone().filter(|_| dns.provider == DnsProvider::Route53);
        let of_docs = of(&self.config.docs.as_ref()?.dns)?;
        let of_ecs = of(&self.config.ecs.as_ref()?.dns)?;
        let same = of_docs.trim_end_matches('.') == of_ecs.trim_end_matches('.');
        same.then(|| Value::reference(&Address::from(ecs::ZONE), "zone_id"))
    }

    /// Tells `stack` what stands elsewhere than it was made, and answers with what makes no sense.
    fn moved(&self, stack: &mut Stack) -> Vec<Problem> {
        let all = &self.config.moved;
        for moved in all {
            stack.moved(&moved.from, &moved.to);
        }
        let Err(StackErrors(errors)) = stack.check() else { return vec![] };
        let mut out = vec![];
        for error in errors {
            let StackError::Moved(error) = error else { continue };
            let about = |m: &&Moved| m.from == error.statement() || m.of(&error.statement().into()).is_some();
            let index = all.iter().rev().position(|m| about(&m)).map_or(0, |back| all.len() - 1 - back);
            let help = "`from` is where it was, `to` where it is now: addresses as `deploy state list` and `deploy plan` \
                        show them, or `/*` at the end of both";
            out.push(Problem::at("moved", error.to_string(), help).key(&index.to_string()).key("from"));
        }
        out
    }

    /// What runs in clusters, as `causeway.lock` says.
    fn images(&self) -> Result<Images, Problem> {
        if self.config.eks.as_ref().is_none_or(|eks| eks.coder.is_none()) {
            return Ok(Images::default());
        }
        let images = Lock::beside(self.folder()).and_then(|lock| lock.images());
        images.map_err(|e| Problem::at("eks.coder", chain(&e), e.remedy()))
    }

    /// What is copied into the repositories of the stack, in the order of the file.
    ///
    /// # Errors
    /// `causeway.lock` cannot be read.
    pub fn copies(&self) -> Result<Vec<Copied>, Problem> {
        let Some(eks) = self.config.eks.as_ref().filter(|eks| !eks.registry.mirror.is_empty()) else {
            return Ok(vec![]);
        };
        let lock = Lock::beside(self.folder());
        let lock = lock.map_err(|e| Problem::at("eks.registry.mirror", chain(&e), e.remedy()))?;
        let all = eks.registry.mirror.iter().flat_map(|(to, images)| images.iter().map(move |one| (to, one)));
        let copy = |(to, image): (&String, &Mirrored)| {
            let from = match image {
                Mirrored::Image(reference) => reference.clone(),
                // One that there is not was told when the file was read.
                Mirrored::Locked(name) => lock.published(name)?,
            };
            Some(Copied { to: to.clone(), from })
        };
        Ok(all.filter_map(copy).collect())
    }

    /// The folder of the image, from where the program runs.
    fn source(&self) -> Option<PathBuf> {
        let source = self.config.ecs.as_ref()?.image.source.as_ref()?;
        Some(self.folder().join(source))
    }

    fn source_digest(&self) -> Result<Option<String>, Problem> {
        let Some(folder) = self.source() else { return Ok(None) };
        let opened = Layout::open(&folder).and_then(|layout| Ok((layout.architectures()?, layout)));
        let (architectures, layout) = opened.map_err(|e| {
            Problem::at(
                "ecs.image.source",
                chain(&e),
                "make it with `skopeo copy docker://ghcr.io/coder/coder:VERSION oci:FOLDER`; the path starts at the \
                 folder of this file",
            )
        })?;
        let wanted = self.config.ecs.as_ref().map(|ecs| match ecs.service.architecture {
            Architecture::X86_64 => ("amd64", "X86_64"),
            Architecture::Arm64 => ("arm64", "ARM64"),
        });
        match wanted {
            Some((oci, ours)) if !architectures.is_empty() && !architectures.iter().any(|a| a == oci) => {
                let found = architectures.join(", ");
                Err(Problem::at(
                    "ecs.image.source",
                    format!("the image is for {found}, and the tasks run on {ours}"),
                    "copy the image of that platform, with `skopeo copy --override-arch`, or set \
                     `[ecs.service] architecture`",
                ))
            }
            _ => Ok(Some(layout.digest().to_owned())),
        }
    }
}

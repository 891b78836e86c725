//! Whether the policy of a bucket lets a distribution in. Fakecloud asks no policies here.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html>

use serde_json::Value;

/// Who asks a bucket.
#[derive(Debug)]
pub(super) enum Caller<'a> {
    /// CloudFront, for a distribution of an account.
    Distribution { arn: &'a str, account: &'a str },
    /// A request that is not signed.
    Anybody,
}

/// What the policy says: a denial outweighs, and silence is one. A condition that is not known here keeps an allowance from
/// holding, and lets a denial hold.
pub(super) fn allows(policy: &Value, caller: &Caller<'_>, action: &str, resource: &str) -> bool {
    let about = |effect: &str| {
        let statements = all_of(&policy["Statement"]).into_iter().filter(|one| one["Effect"] == effect);
        statements
            .filter(|one| is_meant(&one["Principal"], caller))
            .filter(|one| {
                all_of(&one["Action"]).iter().any(|pattern| fits(pattern, &action.to_ascii_lowercase(), true))
            })
            .filter(|one| all_of(&one["Resource"]).iter().any(|pattern| fits(pattern, resource, false)))
            .any(|one| holds(&one["Condition"], caller).unwrap_or(effect == "Deny"))
    };
    !about("Deny") && about("Allow")
}

/// One value or a list of them.
fn all_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        Value::Null => vec![],
        one => vec![one],
    }
}

fn is_meant(principal: &Value, caller: &Caller<'_>) -> bool {
    if *principal == "*" || all_of(&principal["AWS"]).iter().any(|one| **one == "*") {
        return true;
    }
    match caller {
        Caller::Anybody => false,
        Caller::Distribution { .. } => {
            all_of(&principal["Service"]).iter().any(|one| **one == "cloudfront.amazonaws.com")
        }
    }
}

/// Whether all conditions hold; `None` if one is not known here.
fn holds(conditions: &Value, caller: &Caller<'_>) -> Option<bool> {
    let mut all = true;
    for (operator, keys) in conditions.as_object().into_iter().flatten() {
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            let (arn, account) = match caller {
                Caller::Distribution { arn, account } => (*arn, *account),
                Caller::Anybody => ("", ""),
            };
            let given = match key.to_ascii_lowercase().as_str() {
                "aws:sourcearn" => arn,
                "aws:sourceaccount" => account,
                "aws:securetransport" => "true",
                _ => return None,
            };
            let one = |test: &dyn Fn(&Value) -> bool| all_of(wanted).into_iter().any(test);
            all &= match operator.as_str() {
                "StringEquals" | "ArnEquals" => one(&|wanted| *wanted == given),
                "StringNotEquals" | "ArnNotEquals" => !one(&|wanted| *wanted == given),
                "StringLike" | "ArnLike" => one(&|wanted| fits(wanted, given, false)),
                "Bool" => {
                    one(&|wanted| wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned) == given)
                }
                _ => return None,
            };
        }
    }
    Some(all)
}

/// Whether a pattern with its stars stands for a text.
fn fits(pattern: &Value, text: &str, any_case: bool) -> bool {
    fn at(pattern: &str, text: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == text,
            Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
                (0..=text.len()).filter(|n| text.is_char_boundary(*n)).any(|n| at(rest, &text[n..]))
            }),
        }
    }
    let pattern = pattern.as_str().unwrap_or_default();
    if any_case { at(&pattern.to_ascii_lowercase(), text) } else { at(pattern, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ARN: &str = "arn:aws:cloudfront::1:distribution/E1";

    fn policy(statement: Value) -> Value {
        json!({ "Statement": [statement] })
    }

    fn documented(arn: &str) -> Value {
        json!({
            "Effect": "Allow",
            "Principal": { "Service": "cloudfront.amazonaws.com" },
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/*",
            "Condition": { "StringEquals": { "AWS:SourceArn": arn } },
        })
    }

    #[test]
    fn the_documented_policy_lets_its_distribution_in_and_nobody_else() {
        let caller = Caller::Distribution { arn: ARN, account: "1" };
        let get = |policy: &Value, caller: &Caller<'_>| {
            allows(policy, caller, "s3:GetObject", "arn:aws:s3:::b/a/b")
        };
        assert!(get(&policy(documented(ARN)), &caller));
        assert!(!get(&policy(documented("arn:aws:cloudfront::1:distribution/E2")), &caller));
        assert!(!get(&policy(documented(ARN)), &Caller::Anybody));
        assert!(!get(&Value::Null, &caller));
        assert!(!allows(&policy(documented(ARN)), &caller, "s3:ListBucket", "arn:aws:s3:::b"));
    }

    #[test]
    fn a_denial_outweighs_and_what_is_not_known_lets_nobody_in() {
        let caller = Caller::Distribution { arn: ARN, account: "1" };
        let public = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*" });
        let insecure = json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
            "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
        let mut strange = insecure.clone();
        strange["Condition"] = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
        let get = |statements: &[&Value]| {
            allows(&json!({ "Statement": statements }), &caller, "s3:GetObject", "arn:aws:s3:::b/a")
        };
        assert!(get(&[&public]) && get(&[&public, &insecure]));
        assert!(!get(&[&public, &strange]));
        let mut narrow = public.clone();
        narrow["Condition"] = strange["Condition"].clone();
        assert!(!get(&[&narrow]));
    }
}

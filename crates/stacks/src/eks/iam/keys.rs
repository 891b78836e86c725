//! The jobs that rotate the keys of LiteLLM.

use super::on;
use causeway_aws::policy::{PolicyDocument, Statement};
use causeway_core::{Value, text};

/// The one secret that they share, with the key that it is encrypted with.
pub(in crate::eks) struct KeySecret {
    pub secret: Value<String>,
    pub kms_key: Value<String>,
    /// Where it is.
    pub region: String,
}

impl KeySecret {
    fn decrypt(&self, actions: &[&str]) -> Statement {
        let service = text!("secretsmanager.", self.region, ".amazonaws.com");
        on("Decrypt", actions, [self.kms_key.clone()]).when("StringEquals", "kms:ViaService", [service])
    }

    /// Makes new keys: reads and writes the secret.
    pub(in crate::eks) fn maker(&self) -> PolicyDocument {
        let actions = [
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutSecretValue",
            "secretsmanager:UpdateSecretVersionStage",
        ];
        PolicyDocument::new([
            on("RotateKey", &actions, [self.secret.clone()]),
            self.decrypt(&["kms:Decrypt", "kms:GenerateDataKey"]),
        ])
    }

    /// Hands the current key out: reads the secret.
    pub(in crate::eks) fn reader(&self) -> PolicyDocument {
        PolicyDocument::new([
            on("ReadKey", &["secretsmanager:GetSecretValue"], [self.secret.clone()]),
            self.decrypt(&["kms:Decrypt"]),
        ])
    }
}

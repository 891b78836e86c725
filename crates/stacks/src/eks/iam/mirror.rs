//! The job that copies images into our registry.

use super::{anywhere, on};
use causeway_aws::policy::PolicyDocument;
use causeway_core::Value;

/// May push to `repositories`, by their ARNs, and read what is there.
pub(in crate::eks) fn mirror(repositories: &[Value<String>]) -> PolicyDocument {
    let read = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:DescribeImages",
        "ecr:DescribeRepositories",
        "ecr:GetDownloadUrlForLayer",
    ];
    let write = ["ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"];
    PolicyDocument::new([
        anywhere("LogIn", &["ecr:GetAuthorizationToken"]),
        on("Pull", &read, repositories.iter().cloned()),
        on("Push", &write, repositories.iter().cloned()),
    ])
}

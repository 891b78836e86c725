//! The table of wrong configurations. [`RIGHT`] with one edit each; the row says where the mistake is shown, what is said
//! about it, and what is said to do.

/// A configuration in which nothing is wrong.
pub(crate) const RIGHT: &str = r#"[stack]
name = "coder"
region = "us-east-1"

[ecs]
access_url = "https://coder.example.com"
wildcard_access_url = "*.coder.example.com"

[ecs.image]
version = "v2.28.3"

[ecs.service]
cpu = 1024
memory = 2048

[ecs.network]
vpc = "new"

[ecs.dns]
zone = "example.com"

[ecs.database]
version = "16"

[guard]
max_removals = 20
"#;

/// One row.
pub(crate) struct Wrong {
    /// What is wrong, for whoever reads the table.
    pub(crate) what: &'static str,
    /// What of [`RIGHT`] is written otherwise; all of it where this is empty.
    pub(crate) from: &'static str,
    /// How.
    pub(crate) to: &'static str,
    /// The line that is shown.
    pub(crate) line: u64,
    /// A part of what is said.
    pub(crate) says: &'static str,
    /// A part of what is said to do.
    pub(crate) remedy: &'static str,
}

const fn row(
    what: &'static str,
    from: &'static str,
    to: &'static str,
    line: u64,
    says: &'static str,
    remedy: &'static str,
) -> Wrong {
    Wrong { what, from, to, line, says, remedy }
}

#[rustfmt::skip]
pub(crate) const FILES: &[Wrong] = &[
    // How TOML is written.
    row("an empty file", "", "", 1, "the file says nothing", "deploy init"),
    row("a quote is not closed", "\"coder\"", "\"coder", 2, "invalid basic string", "close the quotes"),
    row("a table is not closed", "[ecs.image]", "[ecs.image", 9, "unclosed table", "close the brackets"),
    row("a key without a value", "cpu = 1024", "cpu =", 13, "string values must be quoted", "put text in double quotes"),
    row("a value without quotes", "zone = \"example.com\"", "zone = example.com", 20, "string values must be quoted", "put text in double quotes"),
    row("a key twice", "cpu = 1024", "cpu = 1024\ncpu = 512", 14, "duplicate key", "once"),
    // Keys and types.
    row("a slip in a key", "region =", "regoin =", 3, "`regoin` is not known in [stack]", "did you mean `region`?"),
    row("a slip in a table", "[ecs.service]", "[ecs.sevrice]", 12, "`sevrice` is not known in [ecs]", "did you mean `service`?"),
    row("a key that resembles nothing", "cpu = 1024", "zeal = 1", 13, "`zeal` is not known", "known here: architecture, count, cpu"),
    row("a key in the wrong table", "cpu = 1024", "instance_class = \"db.t4g.medium\"", 13, "`instance_class` is not known in [ecs.service]", "known here"),
    row("text for a number", "cpu = 1024", "cpu = \"1024\"", 13, "has to be a whole number, and this is text", "CPU units: 1024 are one vCPU"),
    row("a number for text", "version = \"16\"", "version = 16", 23, "has to be text in quotes, and this is a whole number", "`16` or `16.4`"),
    row("text for a list", "vpc = \"new\"", "allow = \"0.0.0.0/0\"", 17, "has to be a list, and this is text", "Who may reach the load balancer"),
    row("out of range for its type", "max_removals = 20", "public_ports = [70000]", 26, "between 0 and 65535", "Ports that may be open"),
    row("a negative number", "max_removals = 20", "max_removals = -1", 26, "has to be between 0 and", "How many resources may be removed"),
    row("a word that is not offered", "cpu = 1024", "architecture = \"arm64\"", 13, "has to be `X86_64` or `ARM64`", "did you mean `ARM64`?"),
    row("a required key is missing", "version = \"v2.28.3\"", "", 9, "`version` is missing in [ecs.image]", "like `v2.28.3`"),
    // The stack.
    row("a name in capitals", "name = \"coder\"", "name = \"Coder\"", 2, "`Coder` cannot be the name of a stack", "lowercase letters"),
    row("a name that is too long", "name = \"coder\"", "name = \"coder-of-the-platform-team\"", 2, "cannot be the name of a stack", "1 to 20"),
    row("no region", "us-east-1", "virginia", 3, "`virginia` is not an AWS region", "like `us-east-1`"),
    row("a slip in a region", "us-east-1", "us-esat-1", 3, "`us-esat-1` is not an AWS region", "like `us-east-1`"),
    row("a tag of AWS", "name = \"coder\"", "tags = { \"aws:owner\" = \"me\" }\nname = \"coder\"", 2, "`aws:owner` are not yours to set", "choose another key"),
    row("a tag of ours", "name = \"coder\"", "tags = { \"causeway:stack\" = \"me\" }\nname = \"coder\"", 2, "`causeway:stack` are not yours to set", "choose another key"),
    row("a tag with an illegal character", "name = \"coder\"", "tags = { team = \"a&b\" }\nname = \"coder\"", 2, "the tag `team` is not one that AWS takes", "letters, digits, spaces"),
    row("no such lint", "max_removals = 20", "allow = [\"open-prot\"]", 26, "there is no lint `open-prot`", "there are backups-off, broad-permissions, open-port"),
    row("no such address to protect", "max_removals = 20", "protect = [\"database/instnace\"]", 26, "there is no `database/instnace` to protect", "did you mean `database/instance`?"),
    // Names and addresses.
    row("not encrypted", "https://", "http://", 6, "does not start with https://", "it is reached over TLS"),
    row("with a port", "https://coder.example.com", "https://coder.example.com:8443", 6, "is not a bare host", "without a port or a path"),
    row("with a path", "https://coder.example.com", "https://coder.example.com/coder", 6, "is not a bare host", "without a port or a path"),
    row("an illegal name", "https://coder.example.com", "https://coder_1.example.com", 6, "is not a bare host", "like `https://coder.example.com`"),
    row("another zone", "zone = \"example.com\"", "zone = \"example.org\"", 20, "`coder.example.com` is not in the zone `example.org`", "name the zone that holds the access URL"),
    row("no zone and no certificate", "zone = \"example.com\"", "", 19, "neither a `zone` nor a `certificate_arn`", "name the zone"),
    row("a zone is made and not named", "zone = \"example.com\"", "create_zone = true\ncertificate_arn = \"arn:aws:acm:us-east-1:123456789012:certificate/1\"", 20, "there is no `zone` to create", "remove create_zone"),
    row("a wildcard without a star", "\"*.coder.example.com\"", "\"coder.example.com\"", 7, "is not a wildcard name", "write a star and a name"),
    row("a wildcard as a URL", "\"*.coder.example.com\"", "\"https://*.coder.example.com\"", 7, "is not a wildcard name", "without https://"),
    row("a wildcard in another zone", "\"*.coder.example.com\"", "\"*.apps.example.org\"", 7, "`apps.example.org` is not in the zone `example.com`", "use a name in the zone"),
    row("documentation that is no URL", "[ecs.image]", "docs_url = \"docs.example.com\"\n[ecs.image]", 9, "`docs.example.com` is not a URL", "like `https://docs.example.com`"),
    // ARNs.
    row("no ARN", "zone = \"example.com\"", "certificate_arn = \"certificate/1\"", 20, "`certificate/1` is not an ARN", "arn:aws:acm:"),
    row("a certificate that is something else", "zone = \"example.com\"", "certificate_arn = \"arn:aws:iam::123456789012:server-certificate/x\"", 20, "is an ARN of `iam` and not of `acm`", "arn:aws:acm:"),
    row("a certificate of another region", "zone = \"example.com\"", "certificate_arn = \"arn:aws:acm:eu-west-1:123456789012:certificate/1\"", 20, "is in eu-west-1, and the stack is in us-east-1", "of the stack's own region"),
    row("a firewall of CloudFront", "[guard]", "[ecs.waf]\nweb_acl_arn = \"arn:aws:wafv2:us-east-1:123456789012:global/webacl/x/1\"\n[guard]", 26, "does not name a `regional/webacl`", "not of CloudFront"),
    // Addresses of networks.
    row("a network that is too large", "vpc = \"new\"", "cidr = \"10.0.0.0/8\"", 17, "cannot be divided into subnets", "between /16 and /24"),
    row("a network that is too small", "vpc = \"new\"", "cidr = \"10.0.0.0/28\"", 17, "cannot be divided into subnets", "between /16 and /24"),
    row("host bits", "vpc = \"new\"", "cidr = \"10.0.0.1/16\"", 17, "cannot be divided into subnets", "its host bits zero"),
    row("too few zones", "vpc = \"new\"", "zones = 1", 16, "for 1 zones", "2 to 4 zones"),
    row("no network at all", "vpc = \"new\"", "cidr = \"ten\"", 17, "`ten` cannot be divided", "like `10.0.0.0/16`"),
    row("addresses for a network that is there", "vpc = \"new\"", "vpc = \"default\"\ncidr = \"10.1.0.0/16\"", 18, "`cidr` is for a new VPC, and `vpc` is `default`", "remove `cidr`"),
    row("a VPC that cannot be", "vpc = \"new\"", "vpc = \"vpc-mine\"", 17, "`vpc-mine` is not the id of a VPC", "aws ec2 describe-vpcs"),
    row("a VPC by name", "vpc = \"new\"", "vpc = \"main\"", 17, "`main` says nothing about a VPC", "write `new`, `default`, or the id"),
    row("clients without a prefix", "vpc = \"new\"", "allow = [\"203.0.113.7\"]", 17, "`203.0.113.7` is not a range of addresses", "like `203.0.113.0/24`"),
    row("the same clients twice", "vpc = \"new\"", "allow = [\"203.0.113.0/24\", \"203.0.113.0/24\"]", 17, "is there twice", "once is enough"),
    row("no clients", "vpc = \"new\"", "allow = []", 17, "nobody may reach the load balancer", "left out, everybody may"),
    // Deployments.
    row("no such strategy", "[guard]", "[ecs.deployment]\nstrategy = \"canary\"\n[guard]", 26, "`strategy` has to be `rolling` or `blue_green`", "`blue_green`"),
    row("a bake time without two revisions", "[guard]", "[ecs.deployment]\nbake_time = 5\n[guard]", 26, "a rolling deployment has no bake time", "strategy = \"blue_green\""),
    row("a bake time beyond a day", "[guard]", "[ecs.deployment]\nstrategy = \"blue_green\"\nbake_time = 1441\n[guard]", 27, "1441 minutes are more than ECS waits", "0 to 1440"),
    // Sizes.
    row("CPU that Fargate has not", "cpu = 1024", "cpu = 1000", 14, "no tasks with 1000 CPU units", "choose a pair"),
    row("memory that does not fit the CPU", "memory = 2048", "memory = 512", 14, "1024 CPU units and 512 MiB", "choose a pair"),
    row("a disk that is too small", "version = \"16\"", "storage = 10", 23, "10 GiB growing to 100 GiB cannot work", "starts at 20 GiB"),
    row("a disk that shrinks", "version = \"16\"", "storage = 200", 23, "200 GiB growing to 100 GiB cannot work", "must not be smaller than storage"),
    row("a disk that is too large", "version = \"16\"", "max_storage = 70000", 23, "70000 GiB are more than RDS has", "65536"),
    row("a class of EC2", "version = \"16\"", "instance_class = \"t4g.medium\"", 23, "`t4g.medium` is not a class of RDS", "like `db.t4g.medium`"),
    row("a version that is a word", "version = \"16\"", "version = \"latest\"", 23, "`latest` is not a version of PostgreSQL", "`16` or `16.4`"),
    row("a version that Coder does not run on", "version = \"16\"", "version = \"11\"", 23, "Coder does not run on PostgreSQL 11", "13 or newer"),
    row("more backups than RDS keeps", "version = \"16\"", "backup_days = 40", 23, "40 days of backups cannot be kept", "35 days at most"),
    row("days that CloudWatch has not", "[guard]", "[ecs.logs]\ndays = 31\n[guard]", 26, "logs cannot be kept for 31 days", "CloudWatch knows 1, 3, 5"),
    // The image.
    row("a repository with its registry", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nrepository = \"123456789012.dkr.ecr.us-east-1.amazonaws.com:443/Coder\"", 11, "cannot be the name of a repository", "the address of the registry is not part of it"),
    row("a version that cannot be a tag", "\"v2.28.3\"", "\"v2.28.3 (stable)\"", 10, "cannot be the tag of an image", "like `v2.28.3`"),
    row("a digest that is none", "version = \"v2.28.3\"", "version = \"v2.28.3\"\ndigest = \"sha256:12\"", 11, "`sha256:12` is not a digest", "64 hexadecimal digits"),
    row("a folder and a digest", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nsource = \"image\"\ndigest = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"", 12, "there is both a `source` and a `digest`", "remove `digest`"),
    row("no folder", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nsource = \"nowhere\"", 11, "cannot read ./nowhere/index.json", "skopeo copy"),
    row("a folder with several images", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nsource = \"two\"", 11, "holds 2 images and not one", "skopeo copy"),
    row("a folder that is no image", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nsource = \"other\"", 11, "is not what an OCI layout has there", "skopeo copy"),
    row("an image whose parts are missing", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nsource = \"torn\"", 11, "cannot read ./torn/blobs/sha256/", "skopeo copy"),
    row("an image of another platform", "version = \"v2.28.3\"", "version = \"v2.28.3\"\nsource = \"arm\"", 11, "the image is for arm64, and the tasks run on X86_64", "set `[ecs.service] architecture`"),
    // Variables and secrets.
    row("a variable that Coder does not know", "[guard]", "[ecs.environment]\nCODER_DATABASE_URL = \"x\"\n[guard]", 26, "Coder does not know `CODER_DATABASE_URL`", "did you mean `CODER_PG_CONNECTION_URL`?"),
    row("a slip in a variable", "[guard]", "[ecs.environment]\nCODER_TELEMETRY_ENABEL = \"false\"\n[guard]", 26, "Coder does not know", "did you mean `CODER_TELEMETRY_ENABLE`?"),
    row("a variable of the stack", "[guard]", "[ecs.environment]\nCODER_ACCESS_URL = \"https://x\"\n[guard]", 26, "`CODER_ACCESS_URL` is set by the stack", "remove it"),
    row("a variable with a hyphen", "[guard]", "[ecs.environment]\nHTTP-PROXY = \"x\"\n[guard]", 26, "`HTTP-PROXY` cannot be the name of a variable", "letters, digits and underscores"),
    row("open and secret at once", "[guard]", "[ecs.environment]\nA = \"x\"\n[ecs.secrets]\nA = \"env:A\"\n[guard]", 26, "`A` is both a secret and an open variable", "remove it from here or from `[ecs.secrets]`"),
    row("a prefix in small letters", "[ecs.image]", "env_prefix = \"coder_\"\n[ecs.image]", 9, "`coder_` cannot start the name of a variable", "capital letters"),
    row("a secret that is written down", "[guard]", "[ecs.secrets]\nA = \"hunter2\"\n[guard]", 26, "a secret is named, not written", "write `env:NAME` or `file:PATH` here"),
    row("a variable that is not set", "[guard]", "[ecs.secrets]\nA = \"env:NOT_SET\"\n[guard]", 26, "the environment variable NOT_SET is not set", "export NOT_SET="),
    row("a variable that is empty", "[guard]", "[ecs.secrets]\nA = \"env:EMPTY\"\n[guard]", 26, "the environment variable EMPTY is empty", "export EMPTY="),
    row("a secret file that is not there", "[guard]", "[ecs.secrets]\nA = \"file:none\"\n[guard]", 26, "cannot read the secret in ./none", "the path starts at the folder of this file"),
    row("a secret file that is empty", "[guard]", "[ecs.secrets]\nA = \"file:empty\"\n[guard]", 26, "the file ./empty is empty", "write the secret into it"),
    row("a secret file that is a folder", "[guard]", "[ecs.secrets]\nA = \"file:other\"\n[guard]", 26, "cannot read the secret in ./other", "the path starts at the folder of this file"),
    row("a secret of AWS by name", "[guard]", "[ecs.secrets]\nA = \"aws-secret:coder\"\n[guard]", 26, "ECS takes only its ARN", "aws-secret:arn:aws:secretsmanager:"),
    row("a secret of AWS that is none", "[guard]", "[ecs.secrets]\nA = \"aws-secret:arn:aws:ssm:us-east-1:123456789012:parameter/x\"\n[guard]", 26, "is an ARN of `ssm` and not of `secretsmanager`", "secret:NAME-AbCdEf"),
    row("an empty key inside a secret", "[guard]", "[ecs.secrets]\nA = \"aws-secret:arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf#\"\n[guard]", 26, "names no key inside the secret", "write the key after `#`"),
    // Alarms.
    row("an alarm without a limit", "[guard]", "[ecs.alarms.cpu]\nwatch = \"service-cpu\"\n[guard]", 25, "does not say when it goes off", "give one of `above` and `below`"),
    row("an alarm with both limits", "[guard]", "[ecs.alarms.cpu]\nwatch = \"service-cpu\"\nabove = 1\nbelow = 2\n[guard]", 25, "does not say when it goes off", "give one of `above` and `below`"),
    row("nothing to watch", "[guard]", "[ecs.alarms.cpu]\nwatch = \"cpu\"\nabove = 1\n[guard]", 26, "`watch` has to be `unhealthy-targets`, `server-errors`", "What is watched"),
    row("an alarm with a slash", "[guard]", "[ecs.alarms.\"a/b\"]\nwatch = \"service-cpu\"\nabove = 1\n[guard]", 25, "`a/b` cannot be the name of an alarm", "letters, digits"),
    row("mail to nobody", "[guard]", "[ecs.notify]\nemails = [\"ops\"]\n[guard]", 26, "`ops` is not a mail address", "like `ops@example.com`"),
];

//! Fakecloud registers task definitions that Fargate cannot run. AWS refuses them with a `ClientException`, and fills in
//! the host port of `awsvpc` containers.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ecs_task_definitions",
    service: "ecs",
    operations: &["RegisterTaskDefinition", "DescribeTaskDefinition"],
    why: "fakecloud accepts illegal Fargate sizes, other network modes and secrets without an execution role, and leaves hostPort out",
};

pub(super) fn run<'a>(_state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if request.operation.name == "RegisterTaskDefinition"
            && let Some(message) = illegal(&request.json())
        {
            return request.refuse(400, "ClientException", &message);
        }
        let mut answer = next.run(request).await;
        if answer.status.is_success()
            && let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body)
        {
            fill(&mut output["taskDefinition"]);
            answer.body = output.to_string().into();
        }
        answer
    })
}

/// Writes the defaults that AWS writes.
fn fill(definition: &mut Value) {
    if definition["networkMode"] != "awsvpc" {
        return;
    }
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        for port in container["portMappings"].as_array_mut().into_iter().flatten() {
            if port["hostPort"].is_null() {
                port["hostPort"] = port["containerPort"].clone();
            }
            if port["protocol"].is_null() {
                port["protocol"] = "tcp".into();
            }
        }
    }
}

/// Why Fargate cannot run a task definition.
fn illegal(input: &Value) -> Option<String> {
    let needs = input["requiresCompatibilities"].as_array()?;
    if !needs.iter().any(|need| need == "FARGATE") {
        return None;
    }
    if input["networkMode"] != "awsvpc" {
        return Some("Fargate only supports network mode \u{2018}awsvpc\u{2019}.".to_owned());
    }
    let size = |name: &str, unit: &str| -> Option<u64> {
        let text = input[name].as_str()?.trim().to_ascii_uppercase();
        match text.strip_suffix(unit) {
            // `.25 vCPU`, `0.5 GB`
            Some(number) => number.trim().parse::<f64>().ok().map(|number| (number * 1024.0) as u64),
            None => text.parse().ok(),
        }
    };
    let (Some(cpu), Some(memory)) = (size("cpu", "VCPU"), size("memory", "GB")) else {
        return Some("Fargate requires that 'cpu' and 'memory' be defined at the task level.".to_owned());
    };
    if !legal(cpu, memory) {
        return Some(format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
        ));
    }
    if input["executionRoleArn"].is_string() {
        return None;
    }
    let containers = input["containerDefinitions"].as_array()?;
    let any = |test: &dyn Fn(&Value) -> bool| containers.iter().any(test);
    let requires = |what: &str| {
        Some(format!("Fargate requires task definition to have execution role ARN to support {what}."))
    };
    if any(&|container| container["secrets"].as_array().is_some_and(|all| !all.is_empty())) {
        return requires("secrets");
    }
    if any(&|container| container["logConfiguration"]["logDriver"] == "awslogs") {
        return requires("log driver awslogs");
    }
    if any(&|container| container["image"].as_str().is_some_and(|image| image.contains(".dkr.ecr."))) {
        return requires("ECR images");
    }
    None
}

/// The sizes of Fargate in CPU units and MiB:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html>.
fn legal(cpu: u64, memory: u64) -> bool {
    let steps = |low: u64, high: u64, step: u64| {
        (low..=high).contains(&memory) && (memory - low).is_multiple_of(step)
    };
    match cpu {
        256 => matches!(memory, 512 | 1024 | 2048),
        512 => steps(1024, 4096, 1024),
        1024 => steps(2048, 8192, 1024),
        2048 => steps(4096, 16384, 1024),
        4096 => steps(8192, 30720, 1024),
        8192 => steps(16384, 61440, 4096),
        16384 => steps(32768, 122_880, 8192),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(cpu: &str, memory: &str) -> Value {
        json!({
            "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": cpu, "memory": memory,
            "containerDefinitions": [{ "image": "x", "portMappings": [{ "containerPort": 3000 }] }],
        })
    }

    #[test]
    fn only_legal_sizes_pass() {
        for (cpu, memory) in
            [("256", "512"), ("512", "4096"), ("1 vCPU", "2 GB"), (".25 vCPU", "0.5 GB"), ("8192", "20480")]
        {
            assert_eq!(illegal(&task(cpu, memory)), None, "{cpu} {memory}");
        }
        for (cpu, memory) in
            [("256", "4096"), ("300", "512"), ("1024", "2049"), ("8192", "17408"), ("256", "")]
        {
            assert!(illegal(&task(cpu, memory)).is_some(), "{cpu} {memory}");
        }
    }

    #[test]
    fn secrets_and_logs_need_an_execution_role() {
        let mut input = task("256", "512");
        input["containerDefinitions"][0]["secrets"] = json!([{ "name": "A", "valueFrom": "arn" }]);
        assert!(illegal(&input).unwrap().contains("secrets"));
        input["executionRoleArn"] = "arn".into();
        assert_eq!(illegal(&input), None);
        input["networkMode"] = "bridge".into();
        assert!(illegal(&input).unwrap().contains("awsvpc"));
        input["requiresCompatibilities"] = json!(["EC2"]);
        assert_eq!(illegal(&input), None);
    }

    #[test]
    fn host_ports_are_filled_in() {
        let mut definition = task("256", "512");
        fill(&mut definition);
        assert_eq!(definition["containerDefinitions"][0]["portMappings"][0]["hostPort"], 3000);
    }
}

//! Which flags are about a Dockerfile alone, and how a plan says the same.

use super::BuildFlags;

impl BuildFlags {
    /// A flag that was given and is about a Dockerfile alone, and how a plan says the same, if it can.
    pub(in crate::cli) fn of_a_dockerfile(&self) -> Option<(&'static str, Option<&'static str>)> {
        let all = [
            (
                self.target.is_some(),
                "--target",
                Some("`target` of its `build`"),
            ),
            (
                !self.build_args.is_empty(),
                "--build-arg",
                Some("`args` of its `build`"),
            ),
            (
                !self.contexts.is_empty(),
                "--build-context",
                Some("`contexts` of its `build`"),
            ),
            (
                !self.secrets.is_empty(),
                "--secret",
                Some("`secrets` of the plan, and a mount"),
            ),
            (!self.ssh.is_empty(), "--ssh", Some("a mount of type `ssh`")),
            (self.network.is_some(), "--network", Some("its `network`")),
            (!self.output.is_empty(), "--output", Some("its `outputs`")),
            (self.push, "--push", Some("`push` of one of its `outputs`")),
            (self.load, "--load", Some("one of its `outputs`")),
            (
                !self.tags.is_empty(),
                "--tag",
                Some("`image` of one of its `outputs`"),
            ),
            (
                !self.labels.is_empty(),
                "--label",
                Some("`labels` of its `build`"),
            ),
            (!self.hosts.is_empty(), "--add-host", Some("its `hosts`")),
            (
                self.shm_size.is_some(),
                "--shm-size",
                Some("`shm_size` of its `build`"),
            ),
            (!self.ulimit.is_empty(), "--ulimit", Some("its `ulimits`")),
            (
                self.cgroup_parent.is_some(),
                "--cgroup-parent",
                Some("`cgroup_parent` of its `build`"),
            ),
            (
                !self.no_cache_filter.is_empty(),
                "--no-cache-filter",
                Some("`--no-cache=ACTION`"),
            ),
            (self.pull, "--pull", Some("`pull` of its `build`")),
            (
                !self.allow.is_empty(),
                "--allow",
                Some("its `network: host` or `privileged`"),
            ),
            (self.sbom.is_some(), "--sbom", None),
            (self.provenance.is_some(), "--provenance", None),
            (!self.attests.is_empty(), "--attest", None),
            (
                self.source_policy_file.is_some(),
                "--source-policy-file",
                None,
            ),
        ];
        let given = all.into_iter().find(|(given, ..)| *given);
        given.map(|(_, flag, instead)| (flag, instead))
    }
}

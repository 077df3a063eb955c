//! Instructions that change the image config and no file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graph::{Diagnostic, Severity};
use serde_json::{Map, Value};

use super::go_format::{duration, list, quoted_list};
use super::secret_names::looks_secret;
use super::stage::StageBuilder;
use super::{Coverage, ports, signal};
use crate::instruction::{ArgDecl, CommandForm, Healthcheck, Instruction, KeyValue, OnBuild};
use crate::survey::VariableOrigin;
use crate::syntax::Word;

impl StageBuilder<'_, '_, '_> {
    pub(crate) fn env(&mut self, pairs: &[KeyValue]) -> Result<(), Diagnostic> {
        let pairs = self.pairs(pairs)?;
        let mut message = "ENV".to_owned();
        for (name, value) in &pairs {
            self.refuse_secret("ENV", name);
            message += &format!(" {name}={value}");
            self.state.env.set(name, value);
            self.state.arguments.set(name, value);
            self.world.variables.set(name, Some(value), VariableOrigin::Env, Some(self.here));
            self.state.listed.set(self.state.image.config.env.get_or_insert_default(), name, value);
        }
        self.record(message, true);
        Ok(())
    }

    pub(crate) fn label(&mut self, pairs: &[KeyValue]) -> Result<(), Diagnostic> {
        let pairs = self.pairs(pairs)?;
        let mut message = "LABEL".to_owned();
        for (name, value) in pairs {
            message += &format!(" {name}={value}");
            self.state.image.config.labels.get_or_insert_default().insert(name, value);
        }
        self.record(message, true);
        Ok(())
    }

    fn pairs(&mut self, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Diagnostic> {
        let mut expanded = Vec::with_capacity(pairs.len());
        for pair in pairs {
            expanded.push((self.expand(&pair.key)?, self.expand(&pair.value)?));
        }
        for _ in pairs.iter().filter(|pair| pair.legacy) {
            let keyword = &self.keyword;
            let message = format!(
                "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
            );
            self.warn("LegacyKeyValueFormat", message);
        }
        Ok(expanded)
    }

    fn refuse_secret(&mut self, keyword: &str, name: &str) {
        if looks_secret(name) {
            let message =
                format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})");
            self.warn("SecretsUsedInArgOrEnv", message);
        }
    }

    pub(crate) fn arg(
        &mut self,
        declarations: &[ArgDecl],
        instruction: &Instruction,
    ) -> Result<(), Diagnostic> {
        let mut texts = Vec::with_capacity(declarations.len());
        for ArgDecl { name, default } in declarations {
            let name = name.value.as_str();
            self.refuse_secret("ARG", name);
            let given = self.pass.arguments.get(name).cloned();
            let mut uses = BTreeSet::new();
            let (value, origin) = match (given, default) {
                (Some(given), _) => (Some(given), VariableOrigin::BuildArg),
                (None, Some(default)) => {
                    (Some(self.default_value(default, &mut uses)?), VariableOrigin::Default)
                }
                (None, None) => {
                    (self.pass.globals.get(name).map(str::to_owned), self.pass.origin_of_global(name))
                }
            };
            self.world.variables.set(name, value.as_deref(), origin, Some(self.here));
            self.world.notes.declare(instruction, name, value.as_deref(), uses);
            if !self.state.scans.take(name, value.as_deref())
                && let Some(value) = &value
            {
                self.state.env.set(name, value);
            }
            texts.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            });
            let now = self.state.env.get(name).or(value.as_deref()).unwrap_or_default();
            self.state.arguments.declare(name, now);
        }
        self.record(format!("ARG {}", texts.join(" ")), true);
        Ok(())
    }

    /// The default of an argument, and the variables that it uses.
    fn default_value(&mut self, word: &Word, uses: &mut BTreeSet<String>) -> Result<String, Diagnostic> {
        let expanded = crate::expand(&word.value, &self.values(), self.pass.escape())
            .map_err(|error| Diagnostic::error(error.to_string(), word.span))?;
        uses.extend(expanded.matched);
        self.undefined(expanded.unmatched);
        Ok(expanded.text)
    }

    /// Program and arguments; a shell form gets the shell of the image.
    pub(crate) fn command_line(&self, form: &CommandForm) -> Vec<String> {
        match form {
            CommandForm::Exec(args) => args.clone(),
            CommandForm::Shell(text) => self.with_shell(text),
        }
    }

    pub(crate) fn with_shell(&self, text: &str) -> Vec<String> {
        let shell = self.state.image.config.shell.as_deref().unwrap_or_default();
        let mut line = match (shell.is_empty(), self.state.image.os.as_str()) {
            (false, _) => shell.to_vec(),
            (true, "windows") => ["cmd", "/S", "/C"].map(str::to_owned).to_vec(),
            (true, _) => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
        };
        line.push(text.to_owned());
        line
    }

    fn recommend_json(&mut self, form: &CommandForm) {
        let no_shell = self.state.image.config.shell.as_ref().is_none_or(Vec::is_empty);
        if no_shell && matches!(form, CommandForm::Shell(_)) {
            let message = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                self.keyword
            );
            self.warn("JSONArgsRecommended", message);
        }
    }

    fn only_last(&mut self, earlier: Option<graph::Span>) {
        if let Some(earlier) = earlier {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                self.keyword
            );
            self.world.lint.warn("MultipleInstructionsDisallowed", earlier, message);
        }
    }

    pub(crate) fn cmd(&mut self, form: &CommandForm) -> Result<(), Diagnostic> {
        let earlier = self.once.cmd.replace(self.here);
        self.only_last(earlier);
        self.recommend_json(form);
        let line = self.command_line(form);
        self.record(format!("CMD {}", quoted_list(&line)), true);
        self.state.image.config.cmd = (!line.is_empty()).then_some(line);
        self.state.image.config.args_escaped = Some(true);
        Ok(())
    }

    pub(crate) fn entrypoint(&mut self, form: &CommandForm) -> Result<(), Diagnostic> {
        let earlier = self.once.entrypoint.replace(self.here);
        self.only_last(earlier);
        self.recommend_json(form);
        let line = self.command_line(form);
        self.record(format!("ENTRYPOINT {}", quoted_list(&line)), true);
        self.state.image.config.entrypoint = (!line.is_empty()).then_some(line);
        if self.once.cmd.is_none() {
            self.state.image.config.cmd = None;
        }
        Ok(())
    }

    pub(crate) fn healthcheck(&mut self, check: &Healthcheck) -> Result<(), Diagnostic> {
        let earlier = self.once.healthcheck.replace(self.here);
        self.only_last(earlier);
        let check = match check {
            Healthcheck::None => {
                oci::Healthcheck { test: Some(vec!["NONE".to_owned()]), ..Default::default() }
            }
            Healthcheck::Command { form, interval, timeout, start_period, start_interval, retries } => {
                oci::Healthcheck {
                    test: Some(test(form)),
                    interval: nanos(*interval),
                    timeout: nanos(*timeout),
                    start_period: nanos(*start_period),
                    start_interval: nanos(*start_interval),
                    retries: i64::from(*retries),
                }
            }
        };
        self.record(
            format!(
                "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
                list(check.test.as_deref().unwrap_or_default()),
                duration(check.interval),
                duration(check.timeout),
                duration(check.start_period),
                duration(check.start_interval),
                check.retries
            ),
            true,
        );
        self.state.image.config.healthcheck = Some(check);
        Ok(())
    }

    pub(crate) fn expose(&mut self, words: &[Word]) -> Result<(), Diagnostic> {
        let mut exposed = Vec::new();
        let mut words: Vec<&Word> = words.iter().collect();
        words.sort_by(|a, b| a.value.cmp(&b.value));
        for word in words {
            let expanded = crate::expand_words(&word.value, &self.values(), self.pass.escape())
                .map_err(|error| Diagnostic::error(error.to_string(), word.span))?;
            for text in expanded.words {
                let found = ports::parse(&text).map_err(|message| Diagnostic::error(message, word.span))?;
                if found.odd_casing {
                    let message =
                        format!("Defined protocol '{text}' in EXPOSE instruction should be lowercase");
                    self.warn("ExposeProtoCasing", message);
                }
                if found.mapped {
                    let message = format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
                    );
                    self.warn("ExposeInvalidFormat", message);
                }
                exposed.extend(found.ports);
            }
        }
        self.record(format!("EXPOSE {}", list(&exposed)), true);
        let ports = self.state.image.config.exposed_ports.get_or_insert_default();
        insert_all(ports, exposed);
        Ok(())
    }

    pub(crate) fn volume(&mut self, words: &[Word]) -> Result<(), Diagnostic> {
        let volumes = self.expand_all(words)?;
        if volumes.iter().any(String::is_empty) {
            return Err(self.error("VOLUME specified can not be an empty string"));
        }
        self.record(format!("VOLUME {}", list(&volumes)), true);
        insert_all(self.state.image.config.volumes.get_or_insert_default(), volumes);
        Ok(())
    }

    pub(crate) fn user(&mut self, word: &Word) -> Result<(), Diagnostic> {
        let user = self.expand(word)?;
        self.record(format!("USER {user}"), true);
        self.state.image.config.user = user;
        Ok(())
    }

    pub(crate) fn stop_signal(&mut self, word: &Word) -> Result<(), Diagnostic> {
        let text = self.expand(word)?;
        if !signal::is_signal(&text) {
            return Err(Diagnostic::error(format!("invalid signal: {text}"), word.span));
        }
        self.record(format!("STOPSIGNAL {text}"), true);
        self.state.image.config.stop_signal = Some(text);
        Ok(())
    }

    pub(crate) fn shell(&mut self, shell: &[String]) -> Result<(), Diagnostic> {
        self.record(format!("SHELL {}", list(shell)), true);
        self.state.image.config.shell = Some(shell.to_vec());
        Ok(())
    }

    pub(crate) fn maintainer(&mut self, who: &str) -> Result<(), Diagnostic> {
        self.record(format!("MAINTAINER {who}"), true);
        self.state.image.author = Some(who.to_owned());
        Ok(())
    }

    pub(crate) fn remember_trigger(&mut self, onbuild: &OnBuild) -> Result<(), Diagnostic> {
        self.state.image.config.on_build.get_or_insert_default().push(onbuild.trigger.clone());
        match (&onbuild.inner, self.pass.options.coverage) {
            // The image can be made. A check has remarks of rules alone.
            (Err(error), Coverage::Target) => {
                let message = format!("builds upon this image will fail: {}", error.message);
                self.world.lint.take(Diagnostic { severity: Severity::Warning, message, ..error.clone() });
            }
            (Err(_), Coverage::Check) | (Ok(_), _) => {}
        }
        Ok(())
    }
}

fn test(form: &CommandForm) -> Vec<String> {
    match form {
        CommandForm::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        CommandForm::Exec(args) => [vec!["CMD".to_owned()], args.clone()].concat(),
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn insert_all(set: &mut BTreeMap<String, Value>, keys: Vec<String>) {
    set.extend(keys.into_iter().map(|key| (key, Value::Object(Map::new()))));
}

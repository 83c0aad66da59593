//! The state of one worker, before a hit and after it.

use bytes::{Bytes, BytesMut};
use encarno_http1::Request;
use encarno_nib::{Response, Shot};
use encarno_record::script::OnFail;
use encarno_record::template::{FillError, Replaces, fill_request, filled, is_template};
use encarno_record::{Hit, Payload, Record, StringId, Variables, code};
use url::Url;

use super::context::{ADDRESSES_END, LABELS_END, ScriptContext};
use super::cookies::{Jar, is_private};
use super::inspection::Inspection;
use super::lists::Lists;
use super::plan::Plan;
use super::redirect::Redirect;
use super::request::{url_of, with_cookies};
use super::steps::{Counters, Move, StepPlan};

/// The most bytes that a buffer keeps between hits.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

/// The most steps between two hits; a worker with more steps would never send one.
const STEPS_MAX: u32 = 100_000;

/// Whether a worker makes a hit of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The worker makes the hit.
    Go,
    /// The worker goes on to the next record, because an earlier hit failed or a step
    /// skips this one.
    Skip,
    /// The worker goes back this many records.
    Back(u32),
    /// The worker ends, because no row is left for this pass, or because of a step.
    End,
}

/// How a hit continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The shot contains the next request of a redirect.
    Follow,
    /// The hit is over.
    Done {
        /// How long the worker pauses.
        rest_ns: u64,
        /// Whether its connection isn't used again.
        close: bool,
    },
}

/// A worker's variables and cookies, from one hit to the next.
#[derive(Debug, Default)]
pub struct Session {
    variables: Variables,
    lists: Lists,
    jar: Jar,
    passes: u64,
    counters: Counters,
    /// The number of records that a step still skips.
    ahead: u32,
    /// Whether a step led back, so that the next record may be the first of the pass
    /// again.
    returns: bool,
    /// The number of steps since the last hit.
    steps: u32,
    skip: Skip,
    buffer: BytesMut,
    /// The request before the jar's cookies were added.
    request: Bytes,
    url: Option<Url>,
    earlier: Earlier,
    last_label: (Vec<u8>, StringId),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Skip {
    #[default]
    No,
    ToScenario,
    ToPass,
}

/// The hops before this one.
#[derive(Debug, Default)]
struct Earlier {
    hops: u32,
    connected_ns: u64,
    sent_bytes: u64,
    received_bytes: u64,
    dns_us: u32,
    tls_us: u32,
}

impl Session {
    /// Decides whether the worker makes a hit of a record.
    pub fn admit(
        &mut self,
        record: &Record,
        plan: &Plan,
        context: &mut ScriptContext,
    ) -> Admission {
        if !context.compiler.per_worker {
            return Admission::Go;
        }
        let returns = std::mem::take(&mut self.returns);
        if record.first_of_pass && !returns {
            self.skip = Skip::No;
            self.ahead = 0;
            self.counters.clear();
            self.passes += 1;
            if self.passes == 1 || !context.compiler.same_user {
                self.jar.clear();
                self.variables.clear();
                self.lists.clear();
                for (slot, value) in &context.compiler.values {
                    self.variables.set(*slot, value);
                }
                self.variables.set(context.compiler.last_ok, b"true");
            }
            for data in &context.compiler.data {
                if !data.next(&mut self.variables, &mut context.random) {
                    return Admission::End;
                }
            }
        }
        if self.ahead > 0 {
            self.ahead -= 1;
            return Admission::Skip;
        }
        match self.skip {
            Skip::ToScenario if plan.scenario => self.skip = Skip::No,
            Skip::No => {}
            _ => return Admission::Skip,
        }
        match &plan.step {
            Some(step) => self.step(step, plan),
            None => {
                self.steps = 0;
                Admission::Go
            }
        }
    }

    fn step(&mut self, step: &StepPlan, plan: &Plan) -> Admission {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            tracing::warn!("a worker ends: it took {STEPS_MAX} steps without a hit between them");
            return Admission::End;
        }
        let goes = step.take(
            self.passes == 1,
            &mut self.counters,
            plan.replaces.as_deref().unwrap_or_default(),
            &mut self.variables,
            &self.lists,
        );
        match goes {
            Move::Ahead(records) => self.ahead = records,
            Move::Back(records) => {
                self.returns = true;
                return Admission::Back(records);
            }
            Move::NextPass => self.skip = Skip::ToPass,
            Move::Nowhere => return Admission::End,
        }
        Admission::Skip
    }

    /// Fills values and cookies into the request. An error becomes that of the hit.
    pub fn prepare(
        &mut self,
        plan: &Plan,
        shot: &mut Shot,
        context: &mut ScriptContext,
    ) -> Result<(), (u16, StringId)> {
        self.earlier = Earlier::default();
        self.request = Bytes::new();
        shot.keep = shot.keep.or(plan.keep);
        if let Some(label) = &plan.label {
            context
                .fill_text(label, plan, &self.variables)
                .map_err(|error| unfit(&error, context))?;
            if self.last_label.0 != context.text {
                let text = String::from_utf8_lossy(&context.text);
                let id = context.strings.intern_below(&text, LABELS_END);
                self.last_label = (context.text.to_vec(), id.unwrap_or(context.texts.labels));
            }
            shot.hit.label = self.last_label.1;
        }
        if let Some(address) = &plan.address {
            context
                .fill_text(address, plan, &self.variables)
                .map_err(|error| unfit(&error, context))?;
            let text = String::from_utf8_lossy(&context.text);
            let id = context.strings.intern_below(&text, ADDRESSES_END);
            shot.address = id.ok_or((code::ADDRESS, context.texts.addresses))?;
        }
        let edits = context.compiler.edits(plan, &shot.payload);
        let Payload::Memory(bytes) = &mut shot.payload else {
            return Ok(());
        };
        if let Some(replaces) = plan.replaces.as_deref()
            && is_template(bytes)
        {
            self.buffer.clear();
            self.buffer.reserve(bytes.len());
            fill_request(
                bytes,
                replaces,
                &self.variables,
                &mut self.buffer,
                &mut context.lengths,
            )
            .map_err(|error| unfit(&error, context))?;
            *bytes = self.take_buffer();
        }
        if plan.whole_url {
            self.go_to_whole_url(shot, context)?;
        }
        self.add_cookies(plan, shot, context);
        match edits {
            true => make_sent(shot, plan, context),
            false => Ok(()),
        }
    }

    /// Sends the hit to the URL in its first line, if that is a whole URL.
    fn go_to_whole_url(
        &mut self,
        shot: &mut Shot,
        context: &mut ScriptContext,
    ) -> Result<(), (u16, StringId)> {
        let Payload::Memory(bytes) = &mut shot.payload else {
            return Ok(());
        };
        let Some(request) = Request::parse(bytes) else {
            return Ok(());
        };
        let Some(redirect) = Redirect::to_whole_url(request.target) else {
            return Ok(());
        };
        let id = context
            .strings
            .intern_below(&redirect.address(), ADDRESSES_END);
        shot.address = id.ok_or((code::ADDRESS, context.texts.addresses))?;
        self.buffer.clear();
        redirect.write(&request, &mut self.buffer);
        *bytes = self.take_buffer();
        Ok(())
    }

    /// Takes the contents of the buffer; its memory is reused once the hit is over.
    fn take_buffer(&mut self) -> Bytes {
        let bytes = self.buffer.split().freeze();
        if bytes.len() > BUFFER_BYTES_KEPT {
            self.buffer = BytesMut::new();
        }
        bytes
    }

    fn add_cookies(&mut self, plan: &Plan, shot: &mut Shot, context: &mut ScriptContext) {
        self.url = None;
        if plan.follow == 0 && !context.compiler.cookies {
            return;
        }
        let Payload::Memory(bytes) = &mut shot.payload else {
            return;
        };
        let Some(request) = Request::parse(bytes) else {
            return;
        };
        let address = context.address_of(shot.address);
        self.url = url_of(&request, &address);
        self.request = bytes.clone();
        if let Some(url) = &self.url
            && context.compiler.cookies
            && self
                .jar
                .write(url, is_private(url, &address), &mut context.cookies)
        {
            self.buffer.clear();
            with_cookies(&request, &context.cookies, &mut self.buffer);
            *bytes = self.take_buffer();
        }
    }

    /// Inspects the answer; a failed check becomes the hit's error.
    pub fn conclude(
        &mut self,
        plan: &Plan,
        shot: &mut Shot,
        response: Response<'_>,
        context: &mut ScriptContext,
    ) -> Ended {
        if shot.hit.net_code == 0 {
            if plan.follow > 0 || context.compiler.cookies {
                self.take_cookies(response, context);
                if self.follow(plan, shot, response, context) {
                    return Ended::Follow;
                }
            }
            self.look(plan, &mut shot.hit, response, context);
        } else {
            for extract in &plan.extracts {
                extract.run_without(&mut self.variables, &mut self.lists);
            }
        }
        self.earlier.add_to(&mut shot.hit);
        // Free the buffer for the next request.
        self.request = Bytes::new();
        let failed = shot.hit.failed(&context.expected);
        let ok: &[u8] = if failed { b"false" } else { b"true" };
        self.variables.set(context.compiler.last_ok, ok);
        if shot.hit.error.0 != 0 && context.compiler.per_worker {
            self.skip = match plan.on_fail {
                OnFail::Continue => Skip::No,
                OnFail::Next => Skip::ToScenario,
                OnFail::Stop => Skip::ToPass,
            };
        }
        Ended::Done {
            rest_ns: plan
                .think
                .map_or(0, |think| think.sample_ns(&mut context.random)),
            close: plan.close,
        }
    }

    fn look(
        &mut self,
        plan: &Plan,
        hit: &mut Hit,
        response: Response<'_>,
        context: &mut ScriptContext,
    ) {
        if plan.extracts.is_empty() && plan.checks.is_empty() {
            return;
        }
        let mut inspection = Inspection::new(response, hit.protocol_code, &mut context.body);
        let replaces = &*plan.looks;
        for extract in &plan.extracts {
            let text_of = |text: &str| with_values(text, replaces, &self.variables);
            let live = context.live.extract(extract, text_of);
            let (source, matchers) = match &live {
                Some(live) => (&**live, &mut context.live.matchers),
                None => (extract, &mut context.matchers),
            };
            let result = source.run(
                &extract.target,
                &mut inspection,
                matchers,
                &mut context.random,
                &mut self.variables,
                &mut self.lists,
            );
            if result.is_err() && hit.error.0 == 0 {
                hit.error = context.texts.value_too_long;
            }
        }
        if hit.error.0 != 0 {
            return;
        }
        context.unmet.clear();
        for check in &plan.checks {
            let text_of = |text: &str| with_values(text, replaces, &self.variables);
            let live = context.live.check(check, &context.strings, text_of);
            let is_met = match &live {
                Some(live) => live.is_met(&mut inspection, &mut context.live.matchers),
                None => check.is_met(&mut inspection, &mut context.matchers),
            };
            if !is_met {
                context.unmet.push(check.error);
            }
        }
        if let &[first, ref others @ ..] = &context.unmet[..] {
            hit.error = match others {
                [] => first,
                _ => context.named_together(),
            };
        }
    }

    fn take_cookies(&mut self, response: Response<'_>, context: &ScriptContext) {
        if let Some(url) = &self.url
            && context.compiler.cookies
        {
            for field in response.fields().filter(|field| field.is("set-cookie")) {
                self.jar.take(field.value, url);
            }
        }
    }

    /// Whether the shot now contains the next request.
    fn follow(
        &mut self,
        plan: &Plan,
        shot: &mut Shot,
        response: Response<'_>,
        context: &mut ScriptContext,
    ) -> bool {
        let status = shot.hit.protocol_code;
        if plan.follow == 0 || !Redirect::is_status(status) {
            return false;
        }
        let Some(location) = response.field("location") else {
            return false;
        };
        if self.earlier.hops >= plan.follow {
            shot.hit.error = context.texts.redirects;
            return false;
        }
        let redirect = self
            .url
            .as_ref()
            .and_then(|url| Redirect::new(status, url, location));
        let (Some(redirect), Some(request)) = (redirect, Request::parse(&self.request)) else {
            shot.hit.error = context.texts.location;
            return false;
        };
        if redirect.leaves {
            let address = redirect.address();
            match context.strings.intern_below(&address, ADDRESSES_END) {
                Some(id) => shot.address = id,
                None => {
                    shot.hit.error = context.texts.addresses;
                    return false;
                }
            }
        }
        self.earlier.take(&mut shot.hit);
        self.buffer.clear();
        redirect.write(&request, &mut self.buffer);
        shot.payload = Payload::Memory(self.take_buffer());
        self.add_cookies(plan, shot, context);
        match make_sent(shot, plan, context) {
            Ok(()) => true,
            Err((_, text)) => {
                shot.hit.error = text;
                false
            }
        }
    }
}

/// Replaces the payload by what the protocol sends for it.
fn make_sent(shot: &mut Shot, plan: &Plan, context: &ScriptContext) -> Result<(), (u16, StringId)> {
    let whole = std::mem::replace(&mut shot.payload, Payload::Memory(Bytes::new()));
    shot.payload = context
        .compiler
        .sent(whole, Some(plan))
        .map_err(|reason| (code::PAYLOAD, context.strings.intern(&reason)))?;
    Ok(())
}

/// The error of a hit whose values can't be filled in.
fn unfit(error: &FillError, context: &ScriptContext) -> (u16, StringId) {
    (code::PAYLOAD, context.strings.intern(&error.to_string()))
}

fn with_values(text: &str, replaces: &Replaces, variables: &Variables) -> String {
    String::from_utf8_lossy(&filled(text, replaces, variables)).into_owned()
}

impl Earlier {
    /// Adds a hop, and prepares the hit for the next one.
    fn take(&mut self, hit: &mut Hit) {
        self.hops += 1;
        if self.hops == 1 {
            self.connected_ns = hit.connected_ns;
        }
        self.sent_bytes += std::mem::take(&mut hit.sent_bytes);
        self.received_bytes += std::mem::take(&mut hit.received_bytes);
        self.dns_us = self.dns_us.saturating_add(std::mem::take(&mut hit.dns_us));
        self.tls_us = self.tls_us.saturating_add(std::mem::take(&mut hit.tls_us));
        hit.protocol_code = 0;
        (hit.connected_ns, hit.sent_ns) = (0, 0);
        (hit.first_byte_ns, hit.ended_ns) = (0, 0);
    }

    /// Merges all hops into one hit, connected with the first and answered with the last.
    fn add_to(&self, hit: &mut Hit) {
        if self.hops > 0 {
            hit.connected_ns = self.connected_ns;
            hit.sent_bytes += self.sent_bytes;
            hit.received_bytes += self.received_bytes;
            hit.dns_us = hit.dns_us.saturating_add(self.dns_us);
            hit.tls_us = hit.tls_us.saturating_add(self.tls_us);
        }
    }
}

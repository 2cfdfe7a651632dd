#!/usr/bin/env python3
"""Exhaustive check of the commit protocol: runs every row of the tables in section 8 of protocol.md.

A breadth-first search over every interleaving of a few launches, an offset reset, a straggling task attempt,
a consumer that moves files away on sight, and lost or late requests and replies.  A process never scheduled
again has crashed; one scheduled much later is a zombie.  From every state reached, one more launch, alone and
without faults, must finish and leave what the profile promises.  SAFE: nothing is ever lost, doubled or stuck.
Scope: up to two partitions, two records, three launches; renames and register writes are atomic; two attempts
at the same records may route them to different files.

    python model.py [-v (traces)] [--deep (the rows marked deep)] [WORD ...]    status 1: a row is not as stated
"""

import pathlib
import re
import sys
import time
from collections import Counter, deque, namedtuple
from functools import cache
from itertools import product

PROFILES = {
    "exactly-once": "stage-prep-pub-com",
    "direct exactly-once": "prep-write-com",
    "transactional exactly-once": "stage-txn",
    "at-least-once": "stage-pub-com",
    "direct at-least-once": "write-com",
    "at-most-once": "com-stage-pub",
    "direct at-most-once": "com-write",
}  # the steps of each batch
# The register, always replaced whole.  done: committed offsets; pend: None or (range, manifest); hist, a ghost
# that the protocol never reads: (start, end) of each ended generation, then the start of this one.
Reg = namedtuple("Reg", "ver epoch owner gen done pend hist")
# reg: the register as this driver last knew it; rng: (from, until); todo: what is left of the current step;
# missing: a source was not found in staging; seq: the number of the batch in this epoch.
Driver = namedtuple("Driver", "id reg pc rng todo missing seq", defaults=("take", None, (), False, 0))
File = namedtuple("File", "temp name content")  # content: (generation, records)
# files: visible now; gone: contents moved away; late: what stragglers will write; net: register writes under way,
# each with the rows of its transaction; mark: numbers of the register's log up to here are deleted; left: events that
# may still come.
State = namedtuple("State", "reg staged files gone drivers late net mark left")
Left = namedtuple("Left", "launch reset lost late wipe")


class Model:
    def __init__(self, profile, flags=(), sizes="2", steps=None, launch=2, reset=0, lost=1, late=1, wipe=0):
        self.steps, self.promise = [*(steps or PROFILES[profile]).split("-"), "plan"], profile.split()[-1]
        self.sizes, self.on = tuple(map(int, sizes)), frozenset(flags).__contains__  # sizes: records per partition
        self.limits, zero, none = Left(launch, reset, lost, late, wipe), (0,) * len(sizes), frozenset()
        self.first = State(Reg(0, 0, 0, 0, zero, None, (zero,)), none, none, (), (), none, none, 0, self.limits)
        self.wrong, self.drain, self.direct = cache(self.wrong), cache(self.drain), "write" in self.steps

    def successors(self, s):
        """All that can happen next: (label, state)."""
        for kind, n in (("launch", s.left.launch), ("reset", s.left.reset)):
            if n:
                new = Driver("reset" if kind == "reset" else f"D{self.limits.launch - n + 1}", s.reg)
                yield f"{new.id}: starts, reads", s._replace(drivers=(*s.drivers, new), left=spend(s, kind))
        for d in s.drivers:
            yield from self.drive(s, d)
            yield from self.collect(s, d)
        for files in sorted(s.late):
            yield "straggler writes", s._replace(late=s.late - {files}, **self.put(s, files))
        for new, rows in s.net:
            fits = landed(s, new, rows) if new.ver == s.reg.ver + 1 else {}
            yield "late register write arrives", s._replace(net=s.net - {(new, rows)}, **fits)
        for f in sorted(s.files) if not self.on("keeps") else ():
            yield "consumer moves a file", s._replace(files=s.files - {f}, gone=tuple(sorted([*s.gone, f.content])))
        mark = max((d.reg.ver + 1 for d in s.drivers if d.reg.ver + 1 < s.reg.ver), default=0)
        if self.on("log") and s.mark < mark:
            yield "old register numbers deleted", s._replace(mark=mark)
        if s.left.wipe and s.staged:
            yield "somebody wipes staging", s._replace(staged=frozenset(), left=spend(s, "wipe"))

    def put(self, s, files):
        """What a task attempt writes: to staging, or with a direct sink where readers look."""
        where, key = ("files", 1) if self.direct else ("staged", 0)
        return {where: frozenset(f for f in getattr(s, where) if f[key] not in [g[key] for g in files]).union(files)}

    def collect(self, s, d):
        """Delete staging: only older than this driver's batch, only while it knows of nothing pending."""
        early = d.pc == "take" and self.on("gc-early")
        if (d.pc not in ("take", "unknown", "STOP") or early) and (not d.reg.pend or self.on("gc-pending")):
            here, any_other = (d.reg.epoch + early, d.seq), self.on("gc-others")
            keep = frozenset(f for f in s.staged if (f.temp[2] == d.id if any_other else f.temp[:2] >= here))
            if keep != s.staged and not self.on("no-gc"):
                yield f"{d.id}: deletes older staging", s._replace(staged=keep)

    def drive(self, s, d):  # in each step the outcome without faults comes first
        return iter(()) if d.pc == "STOP" else getattr(self, "do_" + d.pc)(s, d)

    def to(self, s, d, label, then, **changes):
        drivers = tuple(then if e.id == d.id else e for e in s.drivers if e.id != d.id or then)
        return f"{d.id}: {label}", s._replace(drivers=drivers, **changes)

    def leave(self, s, d, label):
        kept = frozenset(f for f in s.staged if f.temp[2] != d.id) if self.on("cleanup") else s.staged
        return self.to(s, d, label + ", exits", None, staged=kept)

    def after(self, d):
        pc = "rst" if d.id == "reset" else self.steps[self.steps.index(d.pc) + 1]
        return d._replace(pc=pc, todo=active(d.rng), missing=False, seq=d.seq + (pc == "plan"))

    def cas(self, s, d, label, then, rows=(), **values):
        """Replace the register if it still is what d knows; then: the driver once that is certain.

        rows: what becomes visible in the same transaction.
        """
        new = d.reg._replace(**{"ver": d.reg.ver + 1, "owner": d.id, **values})
        then = then and then._replace(reg=new)
        wait, done = d._replace(pc="unknown", todo=(new, then, rows)), {**landed(s, new, rows), "net": frozenset()}
        if self.on("blind-set"):
            refused = self.on("check-epoch") and s.reg.epoch != d.reg.epoch
            yield self.leave(s, d, label + " refused") if refused else self.to(s, d, label, wait)
        elif s.reg.ver == d.reg.ver:
            yield self.to(s, d, label, wait if self.on("log") else then, **done)
            if s.left.lost:
                yield self.to(s, d, label + " done, reply lost", wait, left=spend(s, "lost"), **done)
                yield self.to(
                    s, d, label + " under way, no reply", wait, left=spend(s, "lost"), net=s.net | {(new, rows)}
                )
        elif self.on("log") and new.ver <= s.mark:
            yield self.to(s, d, label + " takes a deleted number", then if self.on("no-relist") else wait)
        else:
            yield self.leave(s, d, label + " refused")

    def do_unknown(self, s, d):
        new, then, rows = d.todo
        if self.on("blind-set") or self.on("blind-retry"):
            new = new._replace(ver=s.reg.ver + 1)
            over = landed(s, new, rows)
            yield self.to(s, d, "sets its value over what is there", then and then._replace(reg=new), **over)
        elif s.reg == new or self.on("assume-done") or (self.on("no-nonce") and s.reg.ver == new.ver):
            yield self.to(s, d, "reads back: mine", then)
        elif s.reg.ver != new.ver - 1:
            yield self.leave(s, d, "reads back: not mine")
        else:
            again = {**landed(s, new, rows), "net": frozenset()}
            yield self.to(s, d, "reads back: unchanged, sends it again", then, **again)
            if self.on("replan"):
                yield self.to(s, d, "reads back: unchanged, replans", d._replace(pc="plan", todo=(), seq=d.seq + 1))

    def do_take(self, s, d):
        then, pend = d._replace(pc="rst" if d.id == "reset" else "plan"), d.reg.pend
        if pend and d.id == "reset" and not pend[1] and not self.on("discard"):
            return (yield self.leave(s, d, "the sink may hold a part of the pending batch"))
        if pend and (d.id != "reset" or not self.on("discard")):
            todo = tuple(f._replace(name=f.name + (d.id,) * self.on("random-names")) for f in pend[1] or ())
            redo = "pub" if pend[1] else self.steps[self.steps.index("prep") + 1]
            then = d._replace(pc=redo, rng=pend[0], todo=todo or active(pend[0]))
        if self.on("no-epoch"):
            yield self.to(s, d, "takes over without a write", then)
        else:
            yield from self.cas(s, d, "TAKE", then, epoch=d.reg.epoch + 1)

    def do_plan(self, s, d):
        frm = d.rng[1] if d.rng and self.on("plan-ahead") else d.reg.done
        for until in sorted(product(*(range(a, n + 1) for a, n in zip(frm, self.sizes, strict=False))), reverse=True):
            if until != frm:
                planned = d._replace(pc=self.steps[0], rng=(frm, until), todo=active((frm, until)))
                yield from self.drive(s, planned)
                if self.on("plan-ahead"):
                    yield self.to(s, d, f"batch up to {until} fails", planned._replace(pc="plan"))

    def attempt(self, s, d, files, then, twin, *extra):
        """A task attempt that succeeds, without and with a second one that straggles."""
        label, new = f"tasks write {[f.content[1] for f in files]}", self.put(s, files + extra)
        yield self.to(s, d, label, then, **new)
        if s.left.late:
            yield self.to(s, d, label + ", one straggles", then, late=s.late | {twin}, left=spend(s, "late"), **new)

    def do_stage(self, s, d):
        parts, manifest = active(d.rng), File((d.reg.epoch, d.seq, d.id, "manifest"), None, None)
        for variants in product((0, 1), repeat=len(parts)):
            files = tuple(f for p, v in zip(parts, variants, strict=False) for f in self.output(d, p, v))
            twin = self.output(d, parts[0], 1 - variants[0], "" if self.on("shared-temp") else "twin")
            yield from self.attempt(s, d, files, self.after(d)._replace(todo=files), twin, manifest)

    def do_write(self, s, d):
        p, rest = d.todo[0], d.todo[1:]
        for variant in (0, 1) if self.on("by-route") else (0,):
            then, twin = d._replace(todo=rest) if rest else self.after(d), self.output(d, p, 1 - variant, "twin")
            yield from self.attempt(s, d, self.output(d, p, variant), then, twin)

    def do_prep(self, s, d):
        if self.on("check-from") and d.rng[0] != d.reg.done:
            return (yield self.leave(s, d, "the batch does not start at the committed offset"))
        manifest = d.todo if "stage" in self.steps[: self.steps.index("prep")] else None
        if self.on("list-staging"):
            manifest = tuple(sorted(f for f in s.staged if f.temp[:3] == (d.reg.epoch, d.seq, d.id) and f.name))
        then = self.after(d)._replace(todo=manifest or d.todo)
        yield from self.cas(s, d, "PREPARE" if manifest else "INTEND", then, pend=(d.rng, manifest))

    def do_pub(self, s, d):
        for f in d.todo:  # in any order
            source = next((g for g in s.staged if g.temp == f.temp), None)
            clash = {g for g in s.files if g.name == f.name} if source else set()
            then = d._replace(todo=tuple(g for g in d.todo if g != f), missing=d.missing or not source)
            if not then.todo:  # a source was gone and so is the manifest: the batch is over, or staging was wiped
                lost = then.missing and not any(g.temp == (*f.temp[:3], "manifest") for g in s.staged)
                stop = then._replace(pc="STOP") if s.reg.ver == d.reg.ver else None
                then = stop if lost and not self.on("trusting") else self.after(then)
            if not source:
                yield self.to(s, d, "PUBLISH: a source is gone" + ("" if then else ", exits"), then)
            elif clash and not self.on("overwrite") and not self.on("adopt"):
                yield self.to(s, d, "STOP, the destination exists", d._replace(pc="STOP"))
            else:
                new = clash if clash and self.on("adopt") else {source._replace(name=f.name)}
                moved = {"staged": s.staged - {source}, "files": s.files - clash | new}
                yield self.to(s, d, f"PUBLISH {source.content[1]}", then, **moved)
                if s.left.lost:
                    yield self.to(s, d, "PUBLISH done, reply lost", d, left=spend(s, "lost"), **moved)
                if self.on("link"):
                    yield self.to(s, d, "PUBLISH by link, dies before unlink", None, files=moved["files"])
                if self.on("no-stat"):
                    yield self.to(s, d, "PUBLISH: 404, but for the parent of the destination", then)

    def do_com(self, s, d):
        yield from self.cas(s, d, f"COMMIT {d.rng[1]}", self.after(d), done=d.rng[1], pend=None)

    def rows(self, s, d):
        """What a transaction of d copies from staging; None if it finds that something is not there."""
        if self.on("list-staging"):
            return tuple(sorted(f for f in s.staged if f.temp[:3] == (d.reg.epoch, d.seq, d.id) and f.name))
        there = tuple(next((g for g in s.staged if g.temp == f.temp), None) for f in d.todo)
        return tuple(filter(None, there)) if all(there) or self.on("trusting") else None

    def do_txn(self, s, d):
        rows = self.rows(s, d)
        if rows is None:
            return (yield self.leave(s, d, "staged rows are gone, rolls back"))
        yield from self.cas(s, d, f"COMMIT {d.rng[1]} with its rows", self.after(d), rows, done=d.rng[1])

    def do_rows(self, s, d):
        """Not the protocol: the rows in a transaction of their own."""
        then = self.after(d)._replace(todo=d.todo)
        yield self.to(s, d, "COMMIT of the rows alone", then, files=landed(s, d.reg, self.rows(s, d) or ())["files"])

    def do_rst(self, s, d):
        end = d.reg.pend[0][1] if d.reg.pend and not self.on("discard") else d.reg.done
        for place in (self.sizes, (0,) * len(self.sizes)):
            new = dict(gen=d.reg.gen + 1, done=place, pend=None, hist=(*d.reg.hist[:-1], (d.reg.hist[-1], end), place))
            yield from self.cas(s, d, f"RESET to {place}", None, **new, ver=1 if self.on("recreate") else d.reg.ver + 1)

    def output(self, d, p, variant, twin=""):
        """The files of one attempt at partition p; variant 1 routes the last record elsewhere."""
        records, files = tuple((p, o) for o in range(d.rng[0][p], d.rng[1][p])), ()
        split = variant and (self.on("by-route") or not self.direct)
        for route, part in (("a", records[:-1]), ("b", records[-1:])) if split else (("a", records),):
            name = (p, d.rng[0][p], d.rng[1][p], route)
            name += () if self.on("plain-names") else (d.reg.gen,) if self.on("keyed") else (d.reg.gen, d.reg.epoch)
            name += (d.id, d.seq, twin) if self.direct and not self.on("keyed") else ()  # appends: always new
            temp = None if self.direct else (d.reg.epoch, d.seq, d.id, p, route, twin)
            files += (File(temp, name, (d.reg.gen, part)),) if part else ()
        return files

    def judge(self, s, promise, finished=False):
        """What is wrong in this state, if anything."""
        stopped = any(d.pc == "STOP" for d in s.drivers) and not self.limits.wipe  # after a wipe that is right
        stuck = "STUCK" if stopped or (finished and s.reg.done != self.sizes) else None
        return self.wrong(s.reg.hist, s.reg.done, s.files, s.gone, promise) or stuck

    def wrong(self, hist, done, files, gone, promise):
        count = Counter((gen, record) for gen, records in [*(f.content for f in files), *gone] for record in records)
        for gen, span in enumerate(hist):
            ended = gen < len(hist) - 1
            start, end = span if ended else (span, done)
            for p, o in ((p, o) for p, size in enumerate(self.sizes) for o in range(size)):
                n, inside = count[gen, (p, o)], start[p] <= o < end[p]
                if n > 1 and promise != "at-least-once":
                    return "DUPLICATE"
                if n < 1 and inside and promise != "at-most-once":
                    return "LOSS"
                if n and not inside and (ended or o < start[p]) and promise == "exactly-once":
                    return "EXTRA"  # from outside what its generation covered

    def drain(self, promise, **now):
        """(what is wrong, steps) after one more launch, alone and without faults."""
        s, steps = self.first._replace(drivers=(Driver("last", now["reg"]),), left=Left(0, 0, 0, 0, 0), **now), []
        while s.drivers and (step := next(self.drive(s, s.drivers[0]), None)):
            steps, s = [*steps, step[0]], step[1]
        return self.judge(s, promise, finished=True), steps

    def run(self):
        """(verdict, number of states, shortest trace to what is wrong)"""
        assert not self.drain("exactly-once", reg=self.first.reg)[0], "wrong even without faults"
        parent, queue = {self.first: None}, deque([self.first])
        while queue:
            s = queue.popleft()
            wrong, trace = self.judge(s, self.promise), []
            if not wrong and not self.limits.wipe:
                wrong, trace = self.drain(self.promise, reg=s.reg, staged=s.staged, files=s.files, gone=s.gone)
            if wrong:
                while parent[s]:
                    s, label = parent[s]
                    trace = [label, *trace]
                return wrong, len(parent), trace
            for label, t in self.successors(s):
                if t not in parent:
                    parent[t] = (s, label)
                    queue.append(t)
        return "SAFE", len(parent), []


def landed(s, reg, rows):
    """The register, and in the same transaction these rows: each under a name of its own, so that twice is twice."""
    return dict(reg=reg, files=s.files.union(f._replace(name=(*f.name, reg.ver)) for f in rows))


def spend(s, what):
    return s.left._replace(**{what: getattr(s.left, what) - 1})


def active(rng):
    return tuple(p for p, (a, b) in enumerate(zip(*rng, strict=False)) if a < b)


def main(args):
    words, ran, failed, began = [a for a in args if a[0] != "-"], 0, 0, time.time()
    text = pathlib.Path(__file__).with_name("protocol.md").read_text(encoding="utf-8").split("\n## 8")[1]
    for line in text.splitlines():
        profile, title, options, verdict, states = ([c.strip(" `") for c in line.split("|")[1:-1]] + [""] * 5)[:5]
        flags, pairs = [o for o in options.split() if "=" not in o], re.findall(r"(\S+)=(\S+)", options)
        if profile not in PROFILES or ("deep" in flags) != ("--deep" in args) or not all(w in line for w in words):
            continue
        scope = {name: value if name in ("sizes", "steps") else int(value) for name, value in pairs}
        found, count, trace = Model(profile, flags, **scope).run()
        wrong = "" if (found, f"{count:,}") == (verdict, states) else f"EXPECTED {verdict} {states}: "
        ran, failed = ran + 1, failed + bool(wrong)
        shown = [f"{'':22}{step}" for step in trace if "-v" in args]
        print(f"{found:10}{count:>10,}  {wrong}{profile}: {title}", *shown, sep="\n", flush=True)
    print(f"{ran} cases, {failed} not as expected, {time.time() - began:.0f} s")
    return bool(failed or not ran)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

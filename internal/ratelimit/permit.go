package ratelimit

import (
	"net/netip"
	"time"
)

// Write describes a write of a client.
type Write struct {
	Topic   string
	Creates bool // it may create the topic, if the limits allow that
	Adds    bool // it may be a new contribution, which the limit of the topic counts
}

// Permit says what the limits allow one write to do. The caller must call Settle after the
// write.
type Permit struct {
	MayCreate    bool          // whether the write may create its topic
	MayAdd       bool          // whether the write may be a new contribution
	WaitToCreate time.Duration // 0 unless the limit of new topics refuses
	WaitToAdd    time.Duration // 0 unless the limit of the topic refuses

	limiter *Limiter
	clientKeys
	reservesTopic, reservesAddition bool
}

// clientKeys are the keys of a client for one write.
type clientKeys struct {
	address addressKey
	topic   bucketKey // 0 if the topic has no limit
	// Keys of the IPv6 /48; 0 for IPv4.
	wideTopic, wideWrites, wideCreates bucketKey
}

// Write takes one write of client from the limits, and reserves a new topic and a new
// contribution. If the limit of writes refuses, Write returns how long to wait, and no permit.
func (l *Limiter) Write(client netip.Addr, w Write) (p Permit, wait time.Duration) {
	p = Permit{limiter: l, MayCreate: w.Creates, MayAdd: true}
	if !l.limitsWrites {
		return p, 0
	}
	l.applySecret() // before counting, since it forgets all counts
	p.clientKeys = l.keys(client, w)
	now := l.now()
	if wait = l.takeWrite(&p, now); wait > 0 {
		l.refused.writes.Add(1)
		return Permit{}, wait
	}
	if p.topic != 0 {
		p.WaitToAdd = l.takeBoth(p.topic, p.wideTopic, now)
		p.MayAdd = p.WaitToAdd == 0
		p.reservesAddition = p.MayAdd
	}
	return p, 0
}

// takeWrite takes the write from the limits of p's address and /48, and reserves a new topic.
func (l *Limiter) takeWrite(p *Permit, now time.Duration) (wait time.Duration) {
	if p.wideWrites != 0 {
		if wait = l.take(p.wideWrites, now); wait > 0 {
			return wait
		}
	}
	if l.writes.interval != 0 || l.topics.interval != 0 {
		s, e := l.lock(p.address, now)
		wait = l.writes.Take(&e.writes, now, 1)
		if wait == 0 && l.writes.interval != 0 {
			e.newWrites++
			l.useLocked(s, e)
		}
		if wait == 0 && p.MayCreate {
			p.WaitToCreate = l.topics.Take(&e.topics, now, 1)
		}
		s.mu.Unlock()
	}
	if p.wideWrites != 0 {
		l.settle(p.wideWrites, wait == 0)
	}
	if wait > 0 || !p.MayCreate {
		return wait
	}
	if p.WaitToCreate == 0 && p.wideCreates != 0 {
		if p.WaitToCreate = l.take(p.wideCreates, now); p.WaitToCreate > 0 {
			l.settleTopic(p.address, false)
		}
	}
	p.MayCreate = p.WaitToCreate == 0
	p.reservesTopic = p.MayCreate
	return 0
}

// takeBoth takes one unit from the buckets of both keys, or from none. wide may be 0.
func (l *Limiter) takeBoth(key, wide bucketKey, now time.Duration) (wait time.Duration) {
	if wait = l.take(key, now); wait > 0 || wide == 0 {
		return wait
	}
	if wait = l.take(wide, now); wait > 0 {
		l.settle(key, false)
	}
	return wait
}

// Settle ends the reservations: it gives back a new topic unless the write created it, and
// a new contribution unless the write added one.
func (p *Permit) Settle(created, added bool) {
	l := p.limiter
	if p.reservesTopic {
		l.settleTopic(p.address, created)
		if p.wideCreates != 0 {
			l.settle(p.wideCreates, created)
		}
	}
	if p.reservesAddition {
		l.settle(p.topic, added)
		if p.wideTopic != 0 {
			l.settle(p.wideTopic, added)
		}
	}
}

// settleTopic ends the reservation of a new topic of an address.
func (l *Limiter) settleTopic(key addressKey, created bool) {
	if l.topics.interval == 0 {
		return
	}
	s, e := l.lock(key, l.now())
	defer s.mu.Unlock()
	if !created {
		e.topics -= l.topics.interval
		return
	}
	e.newTopics++
	l.useLocked(s, e)
}

// CountRefusedTopic counts a refusal of a new topic in the metrics.
func (l *Limiter) CountRefusedTopic() { l.refused.topics.Add(1) }

// CountRefusedAddition counts a refusal of a new contribution in the metrics.
func (l *Limiter) CountRefusedAddition() { l.refused.additions.Add(1) }

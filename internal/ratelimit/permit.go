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
}

// clientKeys are the keys of a client for one write.
type clientKeys struct {
	address bucketKey
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
		p.WaitToAdd = l.takeBoth(topicBucket, p.topic, wideTopicBucket, p.wideTopic, now)
		p.MayAdd = p.WaitToAdd == 0
	}
	return p, 0
}

// takeWrite takes the write from the limits of p's address and /48, and reserves a new topic.
func (l *Limiter) takeWrite(p *Permit, now time.Duration) (wait time.Duration) {
	if wait = l.takeBoth(writeBucket, p.address, wideWriteBucket, p.wideWrites, now); wait > 0 {
		return wait
	}
	l.settleBoth(writeBucket, p.address, wideWriteBucket, p.wideWrites, true)
	if p.MayCreate {
		p.WaitToCreate = l.takeBoth(createBucket, p.address, wideCreateBucket, p.wideCreates, now)
		p.MayCreate = p.WaitToCreate == 0
	}
	return 0
}

// takeBoth reserves one unit of an address and of its network, or of none. wideKey may be 0.
func (l *Limiter) takeBoth(limit bucketLimit, key bucketKey, wide bucketLimit, wideKey bucketKey, now time.Duration) (wait time.Duration) {
	if wait = l.tables[limit].take(key, now, 1); wait > 0 || wideKey == 0 {
		return wait
	}
	if wait = l.tables[wide].take(wideKey, now, 1); wait > 0 {
		l.tables[limit].settle(key, now, false, false)
	}
	return wait
}

// settleBoth ends a reservation by takeBoth. It gives the units back unless isUsed.
func (l *Limiter) settleBoth(limit bucketLimit, key bucketKey, wide bucketLimit, wideKey bucketKey, isUsed bool) {
	now, isShared := l.now(), l.cipher.Load().isShared
	l.tables[limit].settle(key, now, isUsed, isShared)
	if wideKey != 0 {
		l.tables[wide].settle(wideKey, now, isUsed, isShared)
	}
}

// Settle ends the reservations: it gives back a new topic unless the write created it, and
// a new contribution unless the write added one.
func (p *Permit) Settle(created, added bool) {
	if p.MayCreate {
		p.limiter.settleBoth(createBucket, p.address, wideCreateBucket, p.wideCreates, created)
	}
	if p.MayAdd && p.topic != 0 {
		p.limiter.settleBoth(topicBucket, p.topic, wideTopicBucket, p.wideTopic, added)
	}
}

// CountRefusedTopic counts a refusal of a new topic in the metrics.
func (l *Limiter) CountRefusedTopic() { l.refused.topics.Add(1) }

// CountRefusedAddition counts a refusal of a new contribution in the metrics.
func (l *Limiter) CountRefusedAddition() { l.refused.additions.Add(1) }

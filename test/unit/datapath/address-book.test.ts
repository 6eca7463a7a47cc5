import test from 'ava';
import { AddressBook, type BookEntry, GRANTED } from '../../../src/datapath/address-book.js';
import { drop, EDGE_HOST } from '../../../src/datapath/verdict.js';

function recorded(quota = { 4: 2, 6: 2 }) {
	const said: string[] = [];
	const book = new AddressBook(
		({ address, edge, origin }: BookEntry, change) => said.push(`${change} ${address} ${edge} ${origin}`),
		quota,
	);
	return { book, said };
}

test('an address that is nobody’s can be claimed, and only once', t => {
	const { book, said } = recorded();
	t.is(book.claim(2, '192.0.2.1', 4), GRANTED);
	t.is(book.claim(2, '192.0.2.1', 4), GRANTED);
	t.is(book.claim(3, '192.0.2.1', 4), drop('ip-spoof'));
	t.deepEqual(said, ['added 192.0.2.1 2 learned']);
});

test('the oldest learned address gives way, a given one never does', t => {
	const { book, said } = recorded();
	book.assign(2, '192.0.2.9', 4);
	book.claim(2, '192.0.2.1', 4);
	t.is(book.claim(2, '192.0.2.2', 4), GRANTED);
	t.deepEqual(said.slice(2), ['removed 192.0.2.1 2 learned', 'added 192.0.2.2 2 learned']);
	t.is(book.holderOf('192.0.2.9')?.edge, 2);
});

test('a slave whose quota is full of given addresses can claim nothing', t => {
	const { book, said } = recorded();
	book.assign(2, '192.0.2.1', 4);
	book.assign(2, '192.0.2.2', 4);
	t.is(book.claim(2, '192.0.2.3', 4), drop('address-quota'));
	t.is(said.length, 2);
});

test('the families have quotas of their own', t => {
	const { book } = recorded({ 4: 1, 6: 1 });
	t.is(book.claim(2, '192.0.2.1', 4), GRANTED);
	t.is(book.claim(2, 'fe80::1', 6), GRANTED);
	t.is(book.holderOf('192.0.2.1')?.edge, 2);
});

test('who is given an address takes it from who learned it', t => {
	const { book, said } = recorded();
	book.claim(2, '192.0.2.1', 4);
	t.is(book.assign(3, '192.0.2.1', 4), undefined);
	t.deepEqual(said.slice(1), ['removed 192.0.2.1 2 learned', 'added 192.0.2.1 3 static']);
});

test("a given address, and the host's, are not given again", t => {
	const { book } = recorded();
	book.assign(2, '192.0.2.1', 4);
	book.setHost([{ address: '192.0.2.2', family: 4 }]);
	t.is(book.assign(3, '192.0.2.1', 4)?.edge, 2);
	t.is(book.assign(3, '192.0.2.2', 4)?.origin, 'host');
	t.is(book.claim(3, '192.0.2.2', 4), drop('ip-spoof'));
});

test("the host's addresses follow what the master has", t => {
	const { book, said } = recorded();
	book.assign(2, '192.0.2.2', 4);
	book.setHost([
		{ address: '192.0.2.1', family: 4 },
		{ address: '192.0.2.2', family: 4 },
	]);
	book.setHost([{ address: '192.0.2.2', family: 4 }]);
	t.deepEqual(said, [
		'added 192.0.2.2 2 static',
		'added 192.0.2.1 1 host',
		'removed 192.0.2.2 2 static',
		'added 192.0.2.2 1 host',
		'removed 192.0.2.1 1 host',
	]);
	t.is(book.holderOf('192.0.2.2')?.edge, EDGE_HOST);
});

test('a slave that goes leaves nothing behind', t => {
	const { book } = recorded();
	book.assign(2, '192.0.2.1', 4);
	book.claim(2, 'fe80::1', 6);
	book.claim(3, 'fe80::2', 6);
	book.releaseAll(2);
	t.is(book.holderOf('192.0.2.1'), undefined);
	t.is(book.holderOf('fe80::1'), undefined);
	t.is(book.holderOf('fe80::2')?.edge, 3);
	t.false(book.release('fe80::1'));
});

test('a gateway can be given, and not claimed; who had it before keeps it', t => {
	const { book } = recorded();
	book.claim(2, '192.0.2.1', 4);
	book.setGateways(['192.0.2.1', '192.0.2.2']);
	t.is(book.holderOf('192.0.2.1')?.edge, 2);
	t.is(book.claim(3, '192.0.2.2', 4), drop('gateway-address'));
	t.false(book.lease(3, '192.0.2.2', 4, 1000));
	t.is(book.assign(3, '192.0.2.2', 4), undefined);
});

test('an address that another machine uses is lost by who learned it, and free again later', t => {
	const { book } = recorded();
	book.claim(2, '192.0.2.1', 4);
	book.assign(2, '192.0.2.2', 4);
	book.setForeign('192.0.2.1', 1000);
	book.setForeign('192.0.2.2', 1000);
	t.is(book.holderOf('192.0.2.1'), undefined);
	t.is(book.holderOf('192.0.2.2')?.edge, 2);
	t.is(book.claim(3, '192.0.2.1', 4), drop('duplicate-address'));
	t.is(book.expire(999), 1000);
	t.is(book.expire(1000), undefined);
	t.is(book.claim(3, '192.0.2.1', 4), GRANTED);
});

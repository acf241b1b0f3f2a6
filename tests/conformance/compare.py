#!/usr/bin/env python3
"""compare.py DIRECT_DIR PROXIED_DIR [--fail] [--table] [--expected FILE]

Per scenario, the checks that pass directly and those that pass via the proxy. With --expected, what is
lost must be what FILE says, no more and no less: a line is `scenario` (all of it may be lost) or
`scenario:check`; `#` begins a comment. Exit 1 otherwise."""
import json,glob,os,re,sys
def load(d):
    r={}
    for f in sorted(glob.glob(d+'/*/checks.json')):
        n=os.path.basename(os.path.dirname(f)); n=re.sub(r'^server-','',n,1); n=re.sub(r'-\d{4}-\d\d-\d\dT.*$','',n)
        if n in('stateless','initialize','session-lifecycle','sse-polling','sse-multiple-streams'): n='server-'+n
        seen={};c={}
        for k in json.load(open(f)):
            i=seen.get(k['id'],0); seen[k['id']]=i+1
            c[(k['id'],i)]=(k['status'],k.get('errorMessage') or '')
        r[n]=c
    return r
a,b=load(sys.argv[1]),load(sys.argv[2])
ts=td=tp=tt=0; rows=[]
for n in a:
    da={k for k,v in a[n].items() if v[0]=='SUCCESS'}
    pb={k for k,v in b.get(n,{}).items() if v[0]=='SUCCESS'}
    fb={k for k,v in b.get(n,{}).items() if v[0]=='FAILURE'}
    wb={k for k,v in b.get(n,{}).items() if v[0]=='WARNING'}
    fa=[k for k,v in a[n].items() if v[0]=='FAILURE']
    td+=len(da); tp+=len(da&pb)
    sd=not fa; sp=n in b and not fb
    ts+=sd; tt+=sd and sp
    rows.append((n,len(da),len(fa),len(da&pb),len(pb),len(fb),len(wb)))
    if '--fail' in sys.argv and (da-pb or (sd and fb)):
        print(f'-- {n}: direct ok {len(da)}, lost {len(da-pb)}')
        for k in sorted((da-pb)|fb):
            v=b.get(n,{}).get(k,('ABSENT',''))
            if v[0]!='ABSENT' or k in da: print(f'     {k[0]}#{k[1]} {v[0]} {v[1][:260]}')
if '--table' in sys.argv:
    for r in rows: print('| %s | %d/%d | %d/%d%s |'%(r[0],r[1],r[1]+r[2],r[4],r[4]+r[5],(' +%dW'%r[6]) if r[6] else ''))
print(f'{os.path.basename(sys.argv[2])}: checks kept {tp}/{td} = {100*tp/td:.1f}%; scenarios green direct {ts}, still green via proxy {tt}')
if '--expected' in sys.argv:
    lost={}
    for n in a:
        da={k for k,v in a[n].items() if v[0]=='SUCCESS'}
        pb={k for k,v in b.get(n,{}).items() if v[0]=='SUCCESS'}
        fb={k for k,v in b.get(n,{}).items() if v[0]=='FAILURE'}
        ids={k[0] for k in (da-pb)|fb}
        if ids: lost[n]=ids
    lines=[l.split('#')[0].strip() for l in open(sys.argv[sys.argv.index('--expected')+1])]
    expected=[l for l in lines if l]
    stale=[e for e in expected if not (lost.get(e.split(':',1)[0],set()) & ({e.split(':',1)[1]} if ':' in e else lost.get(e,set())))]
    new=[f'{n}:{i}' for n in sorted(lost) for i in sorted(lost[n]) if n not in expected and f'{n}:{i}' not in expected]
    for x in new: print('new failure, not in the list:',x)
    for x in stale: print('stale, passes now, take it from the list:',x)
    sys.exit(1 if new or stale else 0)

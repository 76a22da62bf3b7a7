"""The shop's home page: what is where."""

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Demo shop</title>
<style>
  body { font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color: #222; }
  code { background: #f2f2f2; padding: .1rem .3rem; border-radius: .2rem; }
  dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; }
</style>
<h1>Demo shop</h1>
<p>A small instrumented application, here to be watched, broken and mended.</p>
<h2>In the shop</h2>
<dl>
  <dt><a href="/products">/products</a></dt><dd>what is on sale; <code>/products/mug</code> for one of them</dd>
  <dt><code>POST /cart</code>, <code>POST /checkout</code>, <code>/orders/…</code></dt><dd>buying something</dd>
  <dt><a href="/faults">/faults</a></dt><dd>what is broken on purpose at the moment</dd>
  <dt><a href="/metrics">/metrics</a></dt><dd>what Prometheus reads</dd>
  <dt><a href="/health">/health</a></dt><dd>whether the shop can work</dd>
</dl>
<h2>Around it</h2>
<dl>
  <dt><a href="http://127.0.0.1:3001">Grafana</a></dt><dd>dashboards (when the stack runs in containers)</dd>
  <dt><a href="http://127.0.0.1:9090">Prometheus</a></dt><dd>metrics, rules, targets</dd>
  <dt><a href="http://127.0.0.1:9093">Alertmanager</a></dt><dd>what fires, and who was told</dd>
  <dt><a href="http://127.0.0.1:8025">Inbox</a></dt><dd>the messages that were sent</dd>
</dl>
<h2>See an alert arrive</h2>
<p><code>make break</code>, wait for the messages in the inbox, then <code>make mend</code>.</p>
"""
"""HTML; the addresses are the stack's default ports on this machine."""

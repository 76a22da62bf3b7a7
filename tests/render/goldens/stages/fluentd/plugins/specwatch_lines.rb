# Made by specwatch from spec.yaml: edit that file and run `specwatch generate`, not this one.
# frozen_string_literal: true

# What a line becomes, stage by stage, as specwatch/logs/interpreter.py says it. Nothing here is about Fluentd but the record: it has
# "line", "fields", "labels" and "metadata", and "drops" (1) with "reason" once a stage has dropped it.

require "json"
require "time"

module Specwatch
  # Times are whole nanoseconds since 1970.
  Event = Struct.new(:time, :record)

  # Times in log lines.
  module Times
    MONTHS = %w[Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec].freeze
    SECOND = 1_000_000_000
    MOST_HOURS = 24
    MOST_MINUTES = 60

    module_function

    # Returns the time, nil where no layout reads the text or the time is further ahead of `now` than `ahead` seconds.
    def read(text, layouts, zone, century, ahead, now)
      layouts.each do |layout|
        found = from(text, layout, zone, century)
        return found > now + (ahead * SECOND) ? nil : found if found
      end
      nil
    end

    def from(text, layout, zone, century)
      (found = layout["epoch"]&.match(text)) && (time = since_1970(found, layout["units"], century)) && (return time)
      (found = layout["date"]&.match(text)) ? on(found, zone) : nil
    end

    # A number with ten digits of seconds is in seconds, a longer one in milliseconds, where `units` leaves it open (0).
    def since_1970(found, units, century)
      units = found["whole"].length == 10 ? 1 : 1000 if units.zero?
      number = Rational("#{found["whole"]}.#{found["fraction"] || 0}") / units
      number >= century[0] && number < century[1] ? (number * SECOND).floor : nil
    end

    def on(found, zone)
      parts = found.named_captures
      month = parts["b"] ? MONTHS.index(parts["b"]) + 1 : parts["m"].to_i
      day = [parts["Y"].to_i, month, parts["d"].to_i]
      return nil unless Date.valid_date?(*day)

      local = Time.utc(*day, parts["H"].to_i, parts["M"].to_i, parts["S"].to_i)
      written = parts["z"]
      offset = written ? written_offset(written) : offset_there(local, zone)
      offset && (((local.to_i - offset) * SECOND) + (parts["f"] || "0").ljust(9, "0")[0, 9].to_i)
    end

    def written_offset(text)
      return 0 if text == "Z"

      hours = text[1, 2].to_i
      minutes = text[-2, 2].to_i
      return nil if hours > MOST_HOURS || minutes > MOST_MINUTES

      ((hours * 3600) + (minutes * 60)) * (text[0] == "-" ? -1 : 1)
    end

    # The hour that clocks repeat is the first of the two; one that they leave out is read as if they had not been changed yet.
    def offset_there(local, zone)
      return 0 if zone == "UTC"

      require "tzinfo"
      zone = TZInfo::Timezone.get(zone)
      periods = zone.periods_for_local(local)
      periods = zone.periods_for_local(local - 7200) if periods.empty?
      periods.map(&:utc_total_offset).max
    end
  end

  # Fields of a line.
  module Fields
    MOST_NESTING = 900

    module_function

    def json(text, wanted)
      found = parsed(text)
      found.is_a?(Hash) ? wanted.to_h { |name| [name, scalar(at(found, name))] }.compact : {}
    end

    # Ruby's parser takes comments for white space.
    def parsed(text)
      return nil unless text.match?(/\A[ \t\r\n]*\{/)
      return nil if text.include?("/") && text.gsub(/"(?:[^"\\]|\\.)*"/m, "").include?("/")

      JSON.parse(text, max_nesting: MOST_NESTING)
    rescue JSON::ParserError, ArgumentError, EncodingError
      nil
    end

    def at(found, name)
      name.split(".").reduce(found) { |inner, part| inner.is_a?(Hash) ? inner[part] : nil }
    end

    def scalar(value)
      case value
      when String then value.scrub
      when true, false then value.to_s
      when Numeric then number(value.to_f) if value.to_f.finite?
      end
    end

    # Decimal notation at the precision of a double, as Go writes numbers.
    def number(value)
      digits, exponent = value.to_s.split("e")
      whole, fraction = digits.split(".")
      exponent = exponent.to_i
      sign = whole.delete_prefix!("-") ? "-" : ""
      if exponent.negative?
        fraction = ("0" * -exponent) + whole + fraction
        point = whole.length
        whole = fraction[0, point]
        fraction = fraction[point..]
      elsif exponent.positive?
        fraction = fraction.ljust(exponent, "0")
        whole += fraction[0, exponent]
        fraction = fraction[exponent..]
      end
      whole = whole.sub(/\A0+(?=\d)/, "")
      fraction = fraction.sub(/0+\z/, "")
      sign + (fraction.empty? ? whole : "#{whole}.#{fraction}")
    end

    def first(expression, text)
      found = expression.match(text) or return nil
      value = found["value"]
      value = value[1..-2] if value.length > 1 && value.start_with?('"') && value.end_with?('"')
      value.empty? ? nil : value
    end

    def groups(expression, text)
      found = expression.match(text)
      found ? found.named_captures.reject { |_, value| value.nil? || value.empty? } : {}
    end
  end

  # The stages that a line passes in order; `stages` are [kind, settings], in which {"/": text} stands for a regular expression.
  class Pipeline
    def initialize(stages)
      @stages = stages.map { |kind, settings| [:"do_#{kind}", compiled(settings)] }
      unknown = @stages.map(&:first).reject { |name| respond_to?(name, true) }
      raise ArgumentError, "unknown stages: #{unknown.join(", ")}" unless unknown.empty?
    end

    # Returns the event behind the stages (one that is dropped has "drops"), nil for one that is nobody's.
    def pass(event, now)
      @stages.each do |name, settings|
        break if event.record.key?("drops")

        event = send(name, event, settings, now) or return nil
      end
      event
    end

    private

    def compiled(value)
      case value
      when Hash then value.key?("/") ? Regexp.new(value["/"]) : value.transform_values { |item| compiled(item) }
      when Array then value.map { |item| compiled(item) }
      else value
      end
    end

    def dropped(event, reason)
      Event.new(event.time, event.record.merge("drops" => 1, "reason" => reason))
    end

    def with(event, **changes)
      Event.new(event.time, event.record.merge(changes.transform_keys(&:to_s)))
    end

    def first_of(record, fields)
      name = fields.find { |field| record["fields"].key?(field) }
      name && record["fields"][name]
    end

    # A container's file, piece by piece: only the last piece of a line ends with a newline.
    def do_docker(event, settings, _)
      return nil if event.record["line"].empty?

      found = Fields.parsed(clean(event))
      line = found.is_a?(Hash) ? Fields.scalar(found["log"]) : nil
      service = found.is_a?(Hash) && found["attrs"].is_a?(Hash) ? Fields.scalar(found["attrs"][settings["label"]]).to_s : ""
      return nil if settings["label"] && service.empty?
      return dropped(with(event, labels: { "service" => settings["service"] }), "not_docker") unless line

      opened(event, settings, found, line, settings["label"] ? { "service" => service } : {})
    end

    def do_cri(event, settings, _)
      return nil if event.record["line"].empty?

      found = settings["expression"].match(clean(event))
      return dropped(with(event, labels: { "service" => settings["service"] }), "not_cri") unless found

      ending = found["flags"].split(":").first == "P" ? "" : "\n"
      opened(event, settings, found.named_captures, found["log"] + ending, {})
    end

    def opened(event, settings, found, line, more)
      time = Times.from(found["time"].to_s, settings["time"], "UTC", [0, 0]) || event.time
      stream = found["stream"].to_s
      changes = { "line" => line, "stream" => stream, "piece_of" => "#{event.record["path"]} #{stream}", **more }
      Event.new(time, event.record.merge(changes))
    end

    # Bytes that are no UTF-8, which regular expressions do not take.
    def do_clean(event, _, _)
      with(event, line: clean(event))
    end

    def clean(event)
      event.record["line"].to_s.dup.force_encoding("UTF-8").scrub
    end

    # Of a whole line, the newline at its end.
    def do_strip(event, _, _)
      with(event, line: event.record["line"].delete_suffix("\n").delete_suffix("\r"))
    end

    # What holds for every entry: valid UTF-8, no newline at its ends, not empty, not longer than Loki takes.
    def do_begin(event, settings, _)
      record = event.record
      line = clean(event).gsub(/\A\n+|\n+\z/, "")
      return nil if line.empty?

      line = line.byteslice(0, settings["bytes"]).scrub("") if line.bytesize > settings["bytes"]
      fields = record["stream"].to_s.empty? ? {} : { "stream" => record["stream"] }
      service = settings["service"].to_s.empty? ? record["service"] : settings["service"]
      Event.new(event.time, { "line" => line, "fields" => fields, "labels" => { "service" => service.to_s }, "metadata" => {} })
    end

    def do_json(event, settings, _)
      found(event, Fields.json(event.record["line"], settings["fields"]))
    end

    def do_each(event, settings, _)
      found(event, settings["found"].transform_values { |expression| Fields.first(expression, event.record["line"]) }.compact)
    end

    def do_regex(event, settings, _)
      found(event, Fields.groups(settings["expression"], event.record["line"]).transform_keys { |name| settings["names"].fetch(name, name) })
    end

    def found(event, fields)
      with(event, fields: event.record["fields"].merge(fields))
    end

    def do_timestamp(event, settings, now)
      text = first_of(event.record, settings["fields"])
      time = text && Times.read(text, settings["layouts"], settings["zone"], settings["century"], settings["ahead"], now)
      return Event.new(time, event.record) if time

      settings["otherwise"] == "drop" ? dropped(event, "no_time") : event
    end

    def do_level(event, settings, _)
      spelled = first_of(event.record, settings["fields"]).to_s.downcase
      level, = settings["spellings"].find { |_, spellings| spellings.include?(spelled) }
      level ||= settings["unknown"]
      with(found(event, { "level" => level }), labels: event.record["labels"].merge("level" => level))
    end

    def do_rename(event, settings, _)
      fields = event.record["fields"].dup
      settings["names"].each { |old, new| fields[new] = fields.delete(old) if fields.key?(old) }
      with(event, fields: fields)
    end

    def do_drop_fields(event, settings, _)
      with(event, fields: event.record["fields"].reject { |name, _| settings["fields"].include?(name) })
    end

    def do_labels(event, settings, _)
      there = settings["values"].filter_map do |name, values|
        value = event.record["fields"][name].to_s
        [name, values.include?(value) ? value : settings["other"]] unless value.empty?
      end
      with(event, labels: event.record["labels"].merge(there.to_h))
    end

    def do_metadata(event, settings, _)
      there = settings["names"].to_h { |field, name| [name, event.record["fields"][field]] }
      with(event, metadata: event.record["metadata"].merge(there.reject { |_, value| value.nil? || value.empty? }))
    end

    def do_redact(event, settings, _)
      hidden = ->(text) { settings["rules"].reduce(text) { |left, rule| redacted(left, rule) } }
      with(event, line: hidden.call(event.record["line"]), fields: event.record["fields"].transform_values(&hidden))
    end

    def redacted(text, rule)
      text.gsub(rule["expression"]) { Regexp.last_match["kept"] + rule["replacement"] }
    end

    def do_drop(event, settings, now)
      record = event.record
      return event if settings["matches"] && !found_in?(record, settings)
      return event if settings["bytes"] && record["line"].bytesize <= settings["bytes"]
      return event if settings["seconds"] && now - event.time <= settings["seconds"] * Times::SECOND

      dropped(event, settings["reason"])
    end

    def do_sample(event, settings, _)
      return event if settings["matches"] && !found_in?(event.record, settings)

      rand < settings["ratio"] ? event : dropped(event, "sampled")
    end

    def found_in?(record, settings)
      text = settings["field"] ? record["fields"][settings["field"]] : record["line"]
      !text.nil? && settings["matches"].match?(text)
    end

    def do_line(event, settings, _)
      parts = settings["parts"].map do |kind, text|
        case kind
        when "text" then text
        when "line" then event.record["line"]
        else event.record["fields"][text].to_s
        end
      end
      with(event, line: parts.join)
    end

    # What Loki is sent.
    def do_close(event, _, _)
      Event.new(event.time, event.record.slice("line", "labels", "metadata", "drops", "reason"))
    end

    # One level of names for Elasticsearch; labels count more than metadata of the same name.
    def do_document(event, _, _)
      record = event.record
      Event.new(event.time, record["metadata"].merge(record["labels"]).merge("message" => record["line"]))
    end

    # A line of JSON, and a file's name in which the service's can do no harm.
    def do_archive(event, _, _)
      record = event.record
      seconds, nanoseconds = event.time.divmod(Times::SECOND)
      time = Time.at(seconds, nanoseconds, :nsecond).utc.iso8601(9)
      text = JSON.generate({ "time" => time, **record["labels"], **record["metadata"], "message" => record["line"] })
      Event.new(event.time, { "file" => record["labels"]["service"].gsub(/[^A-Za-z0-9_-]/, "_"), "text" => text })
    end
  end
end

# Made by specwatch from spec.yaml: edit that file and run `specwatch generate`, not this one.
# frozen_string_literal: true

require "fluent/error"
require "fluent/plugin/out_loki"

module Fluent
  module Plugin
    # Loki's own plugin, with structured metadata, and with an error where that one only warns: when Loki refuses lines they go to <secondary>.
    class SpecwatchLokiOutput < LokiOutput
      Fluent::Plugin.register_output("specwatch_loki", self)

      def write(chunk)
        answer = loki_http_request({ "streams" => streams_of(chunk) }, nil)
        return if answer.is_a?(Net::HTTPSuccess)

        said = "#{answer.code} #{answer.body}"
        raise LogPostError, said if answer.is_a?(Net::HTTPTooManyRequests) || answer.is_a?(Net::HTTPServerError)

        raise Fluent::UnrecoverableError, said
      end

      private

      def streams_of(chunk)
        streams = Hash.new { |found, labels| found[labels] = [] }
        chunk.each do |time, record|
          streams[record["labels"]] << [to_nano(time).to_s, record["line"], record["metadata"]]
        end
        streams.map { |labels, values| { "stream" => labels, "values" => values } }
      end
    end
  end
end
